const PAGE = 100;
const COLUMNS = ["feature", "label", "class", "p", "coverage", "onsets", "run", "density", "largest", "r", "variable", "stability"];
const TEXT = new Set(["label", "class", "variable"]);
const KEEP = {
  all: () => true,
  alive: row => row.alive,
  labelled: row => row.label !== "",
  tested: row => row.tests.length > 0,
  general: row => row.class === "general",
  memorized: row => row.class === "memorized",
};
const body = document.getElementById("rows");
const search = document.getElementById("search");
const filter = document.getElementById("filter");
let sorted = { column: ROWS.some(row => row.r !== null) ? "r" : "density", down: true };
let shown = PAGE;
let opened = new Set();
let pinned = [];  // a feature and its relative, side by side above all others

function weight(row) {
  const value = row[sorted.column];
  return sorted.column === "r" && value !== null ? Math.abs(value) : value;
}

function compare(a, b) {
  // What is unknown or empty comes last in both directions.
  const [x, y] = [weight(a), weight(b)], none = v => v === null || v === "";
  if (none(x) || none(y)) return none(x) - none(y) || a.feature - b.feature;
  const order = typeof x === "string" ? x.localeCompare(y) : x - y;
  return (sorted.down ? -order : order) || a.feature - b.feature;
}

function chosen() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  return ROWS.filter(KEEP[filter.value]).filter(row => {
    const text = [row.feature, row.label, row.class, row.variable, row.text, row.notes].join(" ").toLowerCase();
    return words.every(word => text.includes(word));
  }).sort(compare);
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function cell(row, column) {
  const value = row[column];
  const made = element("td", value === null ? "–" : value, TEXT.has(column) ? "" : "number");
  if (column === "class" && (value === "general" || value === "memorized"))
    made.prepend(element("span", "", `key ${value}`));
  if (column === "r" && value !== null) made.textContent = (value > 0 ? "+" : "") + value.toFixed(2);
  if (column === "label" && row.source === "person") made.append(element("span", " by a person", "note"));
  if (column === "label" && row.tests.length)
    made.append(element("span", ` tested: ${row.tests.at(-1).outcome}`, "note"));
  return made;
}

function picture(number, words) {
  const made = element("img");
  made.src = FRAMES[number];
  made.alt = words;
  return made;
}

function sheet(row) {
  const made = element("div", undefined, "sheet");
  for (const [episode, step, value, frame, heatmap] of row.top) {
    const figure = element("figure");
    if (frame !== null) figure.append(picture(frame, `episode ${episode}, step ${step}`));
    else if (WITH_FRAMES) figure.append(element("div", "no picture", "nothing"));
    if (heatmap !== null) figure.append(picture(heatmap, "where in the pictures it is active"));
    figure.append(element("figcaption", `${episode}, step ${step}, activation ${value}`));
    made.append(figure);
  }
  return made;
}

function relatives(row) {
  const made = element("ul");
  for (const { where, feature, label, r, share, cosine } of row.related) {
    const name = `${feature}${label && ` ${label}`}`, item = element("li");
    if (where) item.append(`${name}, in ${where}`);
    else {
      const open = element("button", name, "open");
      open.onclick = () => { opened.add(feature); pinned = [row.feature, feature]; draw(); body.scrollIntoView(); };
      item.append(open);
    }
    item.append(`: r ${r.toFixed(2)}, fires in ${(100 * share).toFixed(0)} % of its inferences`,
      cosine === null ? "" : `, decoder cosine ${cosine.toFixed(2)}`);
    made.append(item);
  }
  return made;
}

function details(row) {
  const made = element("tr", undefined, "details"), wide = element("td");
  wide.colSpan = COLUMNS.length + 1;
  const tests = row.tests.map(test =>
    `Tested by steering (${test.study}): ${test.outcome}${test.label && ` “${test.label}”`}: ${test.words}`);
  for (const text of [row.text, row.proposed, ...tests, row.notes && `Notes: ${row.notes}`])
    if (text) wide.append(element("p", text));
  if (row.trace) {
    wide.append(element("p", "Mean activation from the beginning to the end of an episode", "note"));
    wide.append(drawTrace(row.trace, 600, 70));
  }
  wide.append(row.top.length ? sheet(row) : element("p", "No episode in which it fires is known here.", "note"));
  if (row.related.length) {
    wide.append(element("p", "Features that fire together with it", "note"), relatives(row));
  }
  made.append(wide);
  return made;
}

function line(row) {
  const made = element("tr", undefined, row.alive ? "" : "quiet");
  made.append(...COLUMNS.map(column => cell(row, column)));
  const last = element("td");
  if (row.trace) last.append(drawTrace(row.trace, 90, 22));
  made.append(last);
  const open = element("button", row.feature, "open");
  open.setAttribute("aria-expanded", opened.has(row.feature));
  made.firstChild.replaceChildren(open);
  made.onclick = () => {
    if (!opened.delete(row.feature)) opened.add(row.feature);
    draw();
  };
  return made;
}

function draw() {
  const others = chosen().filter(row => !pinned.includes(row.feature));
  const found = [...pinned.map(feature => ROWS.find(row => row.feature === feature)), ...others];
  const page = found.slice(0, shown);
  body.replaceChildren(...page.flatMap(row => opened.has(row.feature) ? [line(row), details(row)] : [line(row)]));
  document.getElementById("count").textContent = `${found.length} of ${ROWS.length} features, ${page.length} shown`;
  document.getElementById("more").hidden = page.length === found.length;
  for (const head of document.querySelectorAll("th[data-column]")) {
    const own = head.dataset.column === sorted.column;
    head.setAttribute("aria-sort", own ? (sorted.down ? "descending" : "ascending") : "none");
  }
}

function restart() { shown = PAGE; pinned = []; draw(); }
search.oninput = restart;
filter.onchange = restart;
document.getElementById("more").onclick = () => { shown += PAGE; draw(); };
for (const head of document.querySelectorAll("th[data-column]")) head.querySelector("button").onclick = () => {
  const column = head.dataset.column;
  sorted = { column, down: column === sorted.column ? !sorted.down : !TEXT.has(column) && column !== "feature" };
  restart();
};
for (const row of chosen().slice(0, 2)) opened.add(row.feature);
draw();
