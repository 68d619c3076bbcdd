for (const place of document.querySelectorAll("[data-trace]"))
  place.append(drawTrace(JSON.parse(place.dataset.trace), place.dataset.width, 44));

const answers = () => [...document.querySelectorAll("input[type=radio]:checked")];
const chosen = () => answers().filter(one => one.value !== "unsure");

function labelsFile() {
  return TEXT.head + chosen().map(one =>
    TEXT.line.replace("{feature}", one.name).replace("{class}", one.value)).join("");
}

const save = document.getElementById("save");
let downloaded = labelsFile();
function count() {
  const answered = answers().length, labelled = chosen().length;
  document.getElementById("count").textContent =
    `${answered} of ${ASKED} answered` + (answered > labelled ? `, ${answered - labelled} unsure` : "");
  save.disabled = labelled === 0;
}
document.addEventListener("change", count);
// The answers are nowhere but on this page: the browser asks before it leaves undownloaded ones.
window.addEventListener("beforeunload", event => {
  if (labelsFile() !== downloaded) event.preventDefault();
});
save.onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([labelsFile()], { type: "application/yaml" }));
  link.download = "labels.yaml";
  link.click();
  downloaded = labelsFile();
};
count();
