const $ = id => document.getElementById(id);
const PLAIN = "#0072b2", STEERED = "#d55e00";

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function rowOf(cells, kind) {
  const made = element("tr");
  made.append(...cells.map(cell => cell instanceof Node ? cell : element(kind || "td", cell, typeof cell === "number" || /^[−+–]?[\d.]+%?$/.test(cell) ? "right" : "")));
  return made;
}

// Effects

const chooser = $("effect");
if (chooser) chooser.onchange = () => {
  for (const block of document.querySelectorAll("section.block")) block.hidden = block.id !== chooser.value;
};

// The runs behind a number

function openRuns(key) {
  const arm = RUNS[key], body = $("dialog-body");
  if (!arm) return;
  $("dialog-title").textContent = arm.name;
  const settings = element("dl", undefined, "facts");
  for (const [name, value] of arm.settings) settings.append(element("dt", name), element("dd", value));
  body.replaceChildren(settings);
  const approached = Object.entries(arm.approached);
  if (approached.length) body.append(element("p", `The hand came nearest to: ${approached.map(([name, count]) => `${name} ${count}`).join(", ")}.`, "note"));
  const table = element("table"), head = element("thead"), rows = element("tbody");
  head.append(rowOf(["run", "its plain twin", "start", "success", "steps", "‖dx‖/‖x‖", ...arm.effects], "th"));
  for (const [id, twin, pair, success, steps, ratio, values] of arm.runs) {
    const code = element("td"), other = element("td");
    code.append(element("code", id));
    other.append(element("code", twin));
    rows.append(rowOf([code, other, pair, success ? "yes" : "no", steps, ratio, ...values]));
  }
  table.append(head, rows);
  const scroll = element("div", undefined, "scroll");
  scroll.append(table);
  body.append(scroll);
  $("dialog").showModal();
}

document.addEventListener("click", event => {
  const number = event.target.closest("[data-arm]");
  if (number) openRuns(number.dataset.arm);
  if (event.target === $("dialog")) $("dialog").close();
});
document.addEventListener("keydown", event => {
  if (event.key === "Enter" && event.target.matches("g[data-arm]")) openRuns(event.target.dataset.arm);
});
$("close").onclick = () => $("dialog").close();

// All runs

let shown = 40;
function listArms() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = ORDER.map(key => [key, RUNS[key]]).filter(([key, arm]) => {
    const text = `${key} ${arm.name}`.toLowerCase();
    return words.every(word => text.includes(word) || arm.runs.some(run => run[0].startsWith(word)));
  });
  $("count").textContent = `${found.length} of ${ORDER.length} arms`;
  $("more").hidden = found.length <= shown;
  $("arms").replaceChildren(...found.slice(0, shown).map(([key, arm]) => {
    const name = element("td"), button = element("button", arm.name, "n");
    button.dataset.arm = key;
    name.append(button);
    const solved = arm.runs.filter(run => run[3]).length;
    const outcome = /^P[15]/.test(key) ? "–" : `${Math.round(100 * solved / arm.runs.length)}%`;
    return rowOf([name, key.slice(0, 2), arm.runs.length, outcome]);
  }));
}
$("search").oninput = listArms;
$("more").onclick = () => { shown += 100; listArms(); };
listArms();

// Paths

function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => { const made = element("option", text); made.value = value; return made; }));
  if (options.some(([value]) => value === before)) select.value = before;
}

function pairName(key, id) {
  const run = RUNS[key].runs.find(one => one[0] === id);
  return run ? run[2] : id;
}

function choosePaths() {
  const arm = $("path-arm"), task = $("path-task"), pair = $("path-pair");
  if (!arm.options.length) fill(arm, PATHS.order.map(key => [key, RUNS[key].name]));
  const tasks = PATHS.arms[arm.value];
  fill(task, Object.keys(tasks).map(name => [name, name]));
  const pairs = tasks[task.value];
  fill(pair, [["", `all ${pairs.length} starts`], ...pairs.map(([id]) => [id, pairName(arm.value, id)])]);
  return { key: arm.value, task: task.value, pairs: pair.value ? pairs.filter(([id]) => id === pair.value) : pairs };
}

function column(path, axis) {
  return path.p.filter((_, i) => i % 3 === axis);
}

function lines(chosen, flat) {
  const made = [], alone = chosen.pairs.length === 1;
  for (const side of [1, 0]) chosen.pairs.forEach((ids, number) => {
    const path = PATHS.runs[ids[side]], name = side ? "plain" : "steered", colour = side ? PLAIN : STEERED;
    const [x, y, z] = [0, 1, 2].map(axis => column(path, axis)), last = x.length - 1;
    const at = [0, ...path.closed, last], symbols = ["circle-open", ...path.closed.map(() => "diamond"), "square-open"];
    const place = flat ? { type: "scatter", x, y } : { type: "scatter3d", x, y, z };
    const hover = `${name}, ${pairName(chosen.key, chosen.pairs[number][0])}<br>run ${ids[side]}<extra></extra>`;
    made.push({ ...place, mode: "lines", name, legendgroup: name, showlegend: false, opacity: alone ? 1 : 0.65,
      line: { color: colour, width: flat ? (alone ? 2.5 : 1.4) : (alone ? 6 : 3), dash: side ? "dash" : "solid" }, hovertemplate: hover });
    const pick = values => at.map(i => values[i]);
    made.push({ ...place, x: pick(x), y: pick(y), ...(flat ? {} : { z: pick(z) }), mode: "markers", showlegend: false,
      marker: { symbol: symbols, size: flat ? (alone ? 10 : 6) : (alone ? 6 : 3.5), color: colour }, hovertemplate: hover });
  });
  const objects = Object.entries(PATHS.objects[chosen.task] || {}), axis = i => objects.map(([, at]) => at[i]);
  made.push({ type: flat ? "scatter" : "scatter3d", x: axis(0), y: axis(1), ...(flat ? {} : { z: axis(2) }), mode: "markers+text",
    text: objects.map(([name]) => name.replace(/_\d+$/, "").replaceAll("_", " ")), textposition: "top center", textfont: { size: 11, color: "#59636e" },
    marker: { symbol: flat ? "x" : "circle", size: flat ? 8 : 3, color: "#59636e" }, showlegend: false, hovertemplate: "%{text}<extra></extra>" });
  return made;
}

function drawPaths() {
  const chosen = choosePaths();
  const layout = { margin: { l: 52, r: 10, t: 10, b: 44 }, font: { size: 12 }, hovermode: "closest", uirevision: "kept" };
  const settings = { responsive: true, displayModeBar: false };
  for (const place of [$("space"), $("above")]) place.querySelector(".empty")?.remove();
  const title = text => ({ title: { text } });
  Plotly.react("space", lines(chosen, false), { ...layout, margin: { l: 0, r: 0, t: 0, b: 0 }, scene: {
    xaxis: title("x"), yaxis: title("y"), zaxis: title("height"), aspectmode: "data", uirevision: "kept", camera: { eye: { x: -1.5, y: -1.7, z: 0.8 } } } }, settings);
  Plotly.react("above", lines(chosen, true), { ...layout, template: "plotly_white",
    xaxis: { ...title("x [mm], from above"), zeroline: false }, yaxis: { ...title("y [mm]"), scaleanchor: "x", zeroline: false } }, settings);
}

function startPaths() {
  if (!window.Plotly) {
    const script = element("script", $("plotly").textContent);
    document.head.append(script);
  }
  try {
    drawPaths();
  } catch (error) {
    $("space").replaceChildren(element("div", `The paths cannot be drawn here: ${error.message}`, "empty"));
  }
}

if (PATHS.arms && Object.keys(PATHS.arms).length) {
  choosePaths();
  for (const id of ["path-arm", "path-task", "path-pair"]) $(id).onchange = startPaths;
  // Plotly is half of this file: it starts when its place comes into view.
  const watch = new IntersectionObserver(seen => {
    if (seen.some(one => one.isIntersecting)) { watch.disconnect(); startPaths(); }
  }, { rootMargin: "200px" });
  watch.observe($("space"));
}

// Videos: plain and steered from the same start, stopped at what steering has come to.

function chooseFilm() {
  const arm = $("film-arm"), pair = $("film-pair");
  if (!arm.options.length) fill(arm, FILMS.order.map(key => [key, RUNS[key].name]));
  const pairs = FILMS.arms[arm.value];
  fill(pair, pairs.map(([name], number) => [String(number), name]));
  const [, plain, steered] = pairs[pair.value];
  const loaded = Promise.all([["plain", plain], ["steered", steered]].map(([side, [run, caption]]) => {
    const video = $(`film-${side}`);
    $(`said-${side}`).textContent = caption;
    video.setAttribute("aria-label", caption);
    return new Promise(ready => { video.onloadedmetadata = () => ready(video); video.src = FILMS.uris[run]; });
  }));
  loaded.then(videos => {
    const shorter = Math.min(...videos.map(video => video.duration));
    for (const video of videos) if (video.paused) video.currentTime = 0.9 * shorter;
  });
}

if (FILMS.order.length) {
  for (const id of ["film-arm", "film-pair"]) $(id).onchange = chooseFilm;
  $("play").onclick = () => { for (const side of ["plain", "steered"]) { $(`film-${side}`).currentTime = 0; $(`film-${side}`).play(); } };
  chooseFilm();
}
