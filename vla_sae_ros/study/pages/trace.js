// A trace of whole percent as a small line.
function drawTrace(percent, width, height) {
  const name = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(name, "svg");
  svg.setAttribute("class", "trace");
  svg.setAttribute("viewBox", `0 -2 100 ${104}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(name, "polyline");
  const last = Math.max(1, percent.length - 1);
  line.setAttribute("points", percent.map((v, i) => `${(100 * i / last).toFixed(1)},${100 - v}`).join(" "));
  svg.append(line);
  return svg;
}
