for (const place of document.querySelectorAll("[data-trace]"))
  place.append(drawTrace(JSON.parse(place.dataset.trace), place.dataset.width, 44));

function chosen() {
  return [...document.querySelectorAll("input[type=radio]:checked")].filter(one => one.value !== "unsure");
}

function labelsFile() {
  return TEXT.head + chosen().map(one =>
    TEXT.line.replace("{feature}", one.name).replace("{class}", one.value)).join("");
}

const save = document.getElementById("save");
function count() {
  const number = chosen().length;
  document.getElementById("count").textContent = `${number} of ${ASKED} labelled`;
  save.disabled = number === 0;
}
document.addEventListener("change", count);
save.onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([labelsFile()], { type: "application/yaml" }));
  link.download = "labels.yaml";
  link.click();
};
count();
