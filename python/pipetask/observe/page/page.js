"use strict";
// The timeline, the card of a quantum, and the table.  Everything else on the page is there without this script.
// No text from outside is ever parsed as HTML: it is set by textContent only.
(async () => {

const UNKNOWN = 0xffffffff, NO_OUTCOME = 255, NO_CPU = 65535;
const $ = id => document.getElementById(id);
const pipetask = window.pipetask = {ready: false, frame: 0};

// The data: see columns.py.

async function load() {
  const text = $("data").textContent, binary = atob(text);
  const packed = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) packed[i] = binary.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const columns = {};
  let at = 4 + length;
  for (const {name, width, size, delta} of facts.columns) {
    columns[name] = unpack(bytes, at, width, size, delta);
    at += width * size;
  }
  return [facts, columns];
}

function unpack(bytes, at, width, size, delta) {
  const values = new Uint32Array(size);
  for (let plane = 0; plane < width; plane++) {
    const shift = 8 * plane, from = at + plane * size;
    for (let i = 0; i < size; i++) values[i] |= bytes[from + i] << shift;
  }
  if (delta) for (let i = 1; i < size; i++) values[i] += values[i - 1];  // modulo 2**32
  return values;
}

const [facts, data] = await load();
const bars = data.start.length, quanta = data.quantumStatus.length, transactions = data.registeredStart.length;
const unit = facts.unit, whole = Math.max(1, facts.span / unit);
const labels = facts.labels, lanes = facts.lanes;

const taskOf = new Uint16Array(quanta), firstOf = [];
let first = 0;
labels.forEach((label, task) => { firstOf.push(first); taskOf.fill(task, first, first += label.size); });

const laneOf = new Uint32Array(bars);
first = 0;
facts.laneSizes.forEach((size, lane) => laneOf.fill(lane, first, first += size));

const lastBar = new Int32Array(quanta).fill(-1);
for (let i = 0; i < bars; i++) {
  const p = data.position[i];
  if (lastBar[p] < 0 || data.number[i] > data.number[lastBar[p]]) lastBar[p] = i;
}

// Texts.

function dataId(position) {
  const task = taskOf[position], label = labels[task], at = position - firstOf[task];
  return label.dimensions.map((name, i) => {
    const value = data[`data-${task}-${i}`][at], known = label.values[i];
    return `${name} ${typeof known === "number" ? known + value : known[value]}`;
  }).join(", ");
}

const statusOf = number => number === NO_OUTCOME ? "not selected" : facts.statuses[number];
const isFailure = number => facts.failures[number] === true;

function duration(seconds) {
  if (seconds > 0 && seconds < .001) return "< 1 ms";
  if (seconds < 100) return `${+seconds.toPrecision(3)} s`;
  if (seconds < 3570) return two(Math.round(seconds), 60, "min", "s");
  if (seconds < 172700) return two(Math.round(seconds / 60), 60, "h", "min");
  return two(Math.round(seconds / 3600), 24, "d", "h");
}

function two(value, factor, large, small) {
  const rest = value % factor;
  return `${Math.floor(value / factor)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
}

function memory(kib) {
  if (kib === UNKNOWN) return "–";
  let value = kib, unit = "KiB";
  for (const larger of ["MiB", "GiB"]) if (value >= 1000) [value, unit] = [value / 1024, larger];
  return `${+value.toPrecision(3)} ${unit}`;
}

const cpu = i => data.cpu[i] === NO_CPU ? "–" : `${data.cpu[i]} %`;
const moment = bar => new Date((facts.begin + data.start[bar] * unit) * 1000).toISOString().replace("T", " ").slice(0, 19);

function element(name, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  made.textContent = text;
  return made;
}

// What is shown.  The address keeps it, so that a link or a page that is loaded again shows the same.

const view = {from: 0, to: whole, rows: "lane", chosen: -1, label: -1, status: -1, error: -1, text: ""};
let matching = null;  // by position, if there is a filter

function remember() {
  const parts = [];
  if (view.from > 0 || view.to < whole) parts.push(`t=${seconds(view.from)}-${seconds(view.to)}`);
  if (view.rows !== "lane") parts.push("rows=" + view.rows);
  if (view.chosen >= 0) parts.push("q=" + view.chosen);
  for (const name of ["label", "status", "error"]) if (view[name] >= 0) parts.push(`${name}=${view[name]}`);
  if (view.text) parts.push("text=" + encodeURIComponent(view.text));
  history.replaceState(null, "", parts.length ? "#" + parts.join("&") : location.pathname + location.search);
}

const seconds = units => +(units * unit).toFixed(5);

function follow() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!location.hash.includes("=")) return;
  const number = (name, most) => {
    const value = parseInt(given.get(name), 10);
    return value >= 0 && value < most ? value : -1;
  };
  if (given.has("t")) {
    const [from, to] = given.get("t").split("-").map(Number);
    if (to > from) setView(from / unit, to / unit);
  }
  if (canvas && given.get("rows") === "label") setRows("label");
  const filters = ["label", "status", "error", "text"].some(name => given.has(name));
  if (filters) {
    Object.assign(view, {label: number("label", labels.length), status: number("status", 256),
      error: number("error", facts.errors.length), text: given.get("text") || ""});
    filter();
  }
  if (given.has("q") && number("q", quanta) >= 0) select(number("q", quanta), true);
  else if (filters) $("quanta").scrollIntoView();
}

// The timeline.

const canvas = $("canvas"), brush = canvas && canvas.getContext("2d");
const AXIS = 20, TALLEST = 16, HEIGHT = 560;
let gutter = 110;  // where names of rows are
let rows = [], order = null, drag = null;
let style = {};

function setRows(kind) {
  view.rows = kind;
  $("rows").value = kind;
  rows = [];
  if (kind === "lane") {
    order = null;
    let from = 0;
    facts.laneSizes.forEach((size, lane) => rows.push({name: lanes[lane], from, to: from += size}));
  } else sortByLabel();
  if (transactions) rows.push({name: "registry", from: bars, to: bars, registry: true});
  layOut();
}

function sortByLabel() {
  const sizes = new Uint32Array(labels.length * lanes.length + 1);
  const key = i => taskOf[data.position[i]] * lanes.length + laneOf[i];
  for (let i = 0; i < bars; i++) sizes[key(i) + 1]++;
  for (let k = 1; k < sizes.length; k++) {
    if (sizes[k]) {
      const name = labels[Math.floor((k - 1) / lanes.length)].name;
      rows.push({name, from: sizes[k - 1], to: sizes[k - 1] + sizes[k]});
    }
    sizes[k] += sizes[k - 1];
  }
  order = new Uint32Array(bars);
  for (let i = 0; i < bars; i++) order[sizes[key(i)]++] = i;
}

const bar = n => order ? order[n] : n;
const ratio = () => window.devicePixelRatio || 1;
const rowHeight = () => (canvas.height / ratio() - AXIS) / Math.max(1, rows.length);

function layOut() {
  const height = AXIS + Math.max(30, Math.min(HEIGHT, TALLEST * rows.length));
  canvas.style.height = height + "px";
  gutter = Math.min(110, Math.round(canvas.clientWidth / 5));
  canvas.width = Math.round(canvas.clientWidth * ratio());
  canvas.height = Math.round(height * ratio());
  const css = getComputedStyle(document.documentElement);
  for (const name of ["back", "ink", "quiet", "line", "soft", "link", "dependency", "slot", "after"])
    style[name] = css.getPropertyValue("--" + name).trim();
  draw();
}

function pixel(colour) {
  if (colour.length === 4) colour = "#" + [...colour.slice(1)].map(c => c + c).join("");
  const value = parseInt(colour.slice(1), 16);
  return (0xff000000 | (value & 255) << 16 | value & 0xff00 | value >> 16) >>> 0;
}

function setView(from, to) {
  const least = Math.min(whole, 20);
  const span = Math.min(whole, Math.max(least, to - from));
  view.from = Math.max(0, Math.min(whole - span, (from + to - span) / 2));
  view.to = view.from + span;
  draw();
}

let asked = false;
function draw() {
  if (!canvas || asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; paint(); });
}

function paint() {
  const begun = performance.now();
  const width = Math.max(1, canvas.width - Math.round(gutter * ratio())), top = Math.round(AXIS * ratio());
  const height = Math.max(1, canvas.height - top);
  const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const line = {colours: new Uint32Array(width), weights: new Float64Array(width), failed: false};
  const inks = {
    labels: labels.map(label => pixel(label.colour)), failed: pixel(facts.colours.failed),
    running: pixel(facts.colours.running), registered: pixel(facts.colours.registered), dim: pixel(style.line), soft: pixel(style.soft),
    dependency: pixel(style.dependency), slot: pixel(style.slot), after: pixel(style.after),
  };
  const named = [], each = height / rows.length;
  line.colours.fill(inks.soft);
  rows.forEach((row, r) => {
    const y = Math.floor(r * each), end = Math.max(y + 1, Math.floor((r + 1) * each));
    paintRow(row, line, width, inks, each >= 11 * ratio() ? named : null, y);
    if (Math.floor((r + 1) * each) === y && r + 1 < rows.length) return;  // the next row shares this line of pixels
    const below = end - (end - y > 4 ? 1 : 0);
    for (let at = y; at < below; at++) pixels.set(line.colours, at * width);
    if (line.failed) hatch(pixels, width, y, below, inks.failed);
    line.colours.fill(inks.soft); line.weights.fill(0); line.failed = false;
  });
  brush.clearRect(0, 0, canvas.width, canvas.height);
  brush.putImageData(image, canvas.width - width, top);
  annotate(named, each);
  pipetask.frame = performance.now() - begun;
}

const CUT_OFF = new Set(["running", "cancelled"]);

// At most one colour for each column of pixels: failures win, then what takes longest.
function paintRow(row, line, width, inks, named, y) {
  const scale = width / (view.to - view.from), {colours, weights} = line;
  const fill = (from, to, ink, weight) => {
    const x = Math.max(0, Math.floor((from - view.from) * scale));
    const end = Math.min(width, Math.max(x + 1, Math.ceil((to - view.from) * scale)));
    for (let at = x; at < end; at++) if (weight > weights[at]) { weights[at] = weight; colours[at] = ink; }
    return [x, end];
  };
  if (row.registry) {
    for (let n = 0; n < transactions; n++) {
      const start = data.registeredStart[n], end = start + data.registeredSeconds[n], failed = data.registeredFailed[n];
      if (end < view.from || start > view.to) continue;
      fill(start, end, failed ? inks.failed : inks.registered, failed ? Infinity : 1 + end - start);
      if (failed) line.failed = true;
    }
    return;
  }
  let n = firstIn(row, view.from), before = n > row.from ? endOf(bar(n - 1)) : 0;
  for (; n < row.to; n++) {
    const i = bar(n), start = data.start[i], end = endOf(i);
    if (view.rows === "lane" && (start - before) * scale >= 2) {
      const ready = Math.min(start, Math.max(before, start - data.wait[i]));
      if (ready > before) fill(before, ready, inks.dependency, 1e-9);
      if (start > ready) fill(ready, start, inks.slot, 1e-9);
    }
    before = end;
    if (start > view.to) break;
    const failed = isFailure(data.status[i]), p = data.position[i];
    let ink = failed ? inks.failed : CUT_OFF.has(facts.statuses[data.status[i]]) ? inks.running : inks.labels[taskOf[p]];
    const fits = !matching || matching[p];
    if (!fits) ink = inks.dim;
    if (failed && fits) line.failed = true;
    const [x, to] = fill(start, end, ink, !fits ? 1e-8 : failed ? Infinity : 1 + end - start);
    if (named && to - x > 50 * ratio() && named.length < 400) named.push([i, x, to, y]);
  }
  if (view.rows === "lane" && n === row.to) {
    const ended = facts.ended / unit;
    if (ended > before) fill(before, ended, inks.dependency, 1e-9);
    if (whole > ended) fill(ended, whole, inks.after, 1e-9);
  }
}

const endOf = i => data.start[i] + data.seconds[i];

// The first attempt of a row that ends after some time.
function firstIn(row, time) {
  let low = row.from, high = row.to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (endOf(bar(middle)) <= time) low = middle + 1; else high = middle;
  }
  return low;
}

// Failures have stripes, too: their colour alone is not enough for everybody.
function hatch(pixels, width, from, to, ink) {
  for (let y = from; y < to; y++)
    for (let x = 0; x < width; x++)
      if (pixels[y * width + x] === ink && (x + y) % 6 < 2) pixels[y * width + x] = 0xff101010;
}

function annotate(named, each) {
  const r = ratio(), left = gutter * r;
  brush.font = `${11 * r}px system-ui, sans-serif`;
  brush.textBaseline = "middle";
  drawAxis(left, r);
  brush.fillStyle = style.quiet;
  brush.textAlign = "left";
  const step = Math.max(1, Math.ceil(12 * r / each));
  let last = null;
  for (let n = 0; n < rows.length; n += step) {
    if (rows[n].name !== last) brush.fillText(rows[n].name, 0, AXIS * r + (n + .5) * each, left - 6 * r);
    last = rows[n].name;
  }
  const widths = labels.map(label => brush.measureText(label.name).width);
  for (const [i, x, to, y] of named) {
    const task = taskOf[data.position[i]], failed = isFailure(data.status[i]);
    if (widths[task] + (failed ? 22 : 8) * r > to - x) continue;  // it does not fit
    brush.fillStyle = inkOn(failed ? facts.colours.failed : labels[task].colour);
    brush.fillText((failed ? "✕ " : "") + labels[task].name, left + x + 4 * r, AXIS * r + y + each / 2);
  }
  drawChosen(left, r, each);
  if (drag && drag.moved) {
    brush.fillStyle = style.link + "44";
    brush.fillRect(Math.min(drag.x, drag.at) * r, AXIS * r, Math.abs(drag.at - drag.x) * r, canvas.height);
  }
}

// Black or white, whichever can be read on a colour.
function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16));
  return .299 * r + .587 * g + .114 * b > 140 ? "#000" : "#fff";
}

function drawAxis(left, r) {
  const width = canvas.width - left, span = (view.to - view.from) * unit;
  const steps = [];
  for (let power = 1e-5; power < 10; power *= 10) steps.push(power, 2 * power, 5 * power);
  steps.push(10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200, 10800, 21600, 43200);
  for (let days = 86400; days < 1e9; days *= 2) steps.push(days);
  const step = steps.find(each => span / each <= width / (90 * r)) || 1e9;
  brush.textAlign = "center";
  brush.fillStyle = style.quiet;
  brush.strokeStyle = style.line;
  for (let at = Math.ceil(view.from * unit / step - 1e-9) * step; at <= view.to * unit; at += step) {
    const x = left + (at / unit - view.from) / (view.to - view.from) * width;
    brush.beginPath(); brush.moveTo(x, (AXIS - 4) * r); brush.lineTo(x, AXIS * r); brush.stroke();
    brush.fillText(duration(at), Math.min(canvas.width - 24 * r, Math.max(left + 14 * r, x)), 8 * r);
  }
}

function drawChosen(left, r, each) {
  if (view.chosen < 0) return;
  brush.strokeStyle = style.ink;
  brush.lineWidth = 2 * r;
  for (let n = 0; n < rows.length; n++)
    for (const i of barsOf(view.chosen)) {
      const inRow = order ? rows[n].name === labels[taskOf[view.chosen]].name && laneOf[bar(rows[n].from)] === laneOf[i]
        : laneOf[i] === n;
      if (!inRow) continue;
      const scale = (canvas.width - left) / (view.to - view.from);
      const x = left + (data.start[i] - view.from) * scale, to = left + (endOf(i) - view.from) * scale;
      if (to < left) continue;
      brush.strokeRect(Math.max(left, x) - r, AXIS * r + n * each, Math.max(3 * r, to - Math.max(left, x)) + 2 * r, Math.max(3, each));
    }
}

let cached = [-1, []];
function barsOf(position) {
  if (cached[0] !== position) {
    const found = [];
    for (let i = 0; i < bars; i++) if (data.position[i] === position) found.push(i);
    cached = [position, found.sort((a, b) => data.number[a] - data.number[b])];
  }
  return cached[1];
}

const timeAt = x => view.from + (x - gutter) / (canvas.clientWidth - gutter) * (view.to - view.from);

// The attempt at a place on the canvas, or -1; two pixels beside it will do.
function hit(x, y) {
  const row = rows[Math.floor((y - AXIS) / rowHeight())];
  if (!row || y < AXIS || x < gutter) return -1;
  const time = timeAt(x), near = 2 * (view.to - view.from) / (canvas.clientWidth - gutter);
  const n = firstIn(row, time - near);
  return n < row.to && data.start[bar(n)] <= time + near ? bar(n) : -1;
}

// The text about the transaction at a place on the canvas.
function aboutTransaction(x, y) {
  const row = rows[Math.floor((y - AXIS) / rowHeight())];
  if (!row || !row.registry || y < AXIS || x < gutter) return "";
  const time = timeAt(x), near = 2 * (view.to - view.from) / (canvas.clientWidth - gutter);
  for (let n = 0; n < transactions; n++) {
    const start = data.registeredStart[n], seconds = data.registeredSeconds[n];
    if (start - near > time || start + seconds + near < time) continue;
    return `transaction${data.registeredFailed[n] ? " that failed" : ""}\n${data.registeredDatasets[n]} datasets of `
      + `${data.registeredQuanta[n]} quanta\n${duration(seconds * unit)}, after ${duration(start * unit)}`;
  }
  return "";
}

function about(i) {
  const p = data.position[i];
  return `${labels[taskOf[p]].name}\n${dataId(p)}\n${statusOf(data.status[i])}, ${duration(data.seconds[i] * unit)}`
    + ` after ${duration(data.wait[i] * unit)} of waiting for a slot\nCPU ${cpu(i)}, memory ${memory(data.memory[i])}`;
}

function zoom(factor, x = gutter + (canvas.clientWidth - gutter) / 2) {
  const at = timeAt(x);
  setView(at - (at - view.from) * factor, at + (view.to - at) * factor);
  remember();
}

function pan(part) {
  const by = part * (view.to - view.from);
  const moved = Math.max(-view.from, Math.min(whole - view.to, by));
  setView(view.from + moved, view.to + moved);
  remember();
}

function neighbour(step) {
  const n = lastBar[view.chosen] + step;
  if (view.chosen >= 0 && n >= 0 && n < bars) select(data.position[n], false);
}

const KEYS = {
  "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2), "0": () => { setView(0, whole); remember(); },
  ArrowLeft: () => pan(-.2), ArrowRight: () => pan(.2), n: () => neighbour(1), p: () => neighbour(-1),
  Enter: () => choose(firstFrom((view.from + view.to) / 2)),
};

const choose = i => { if (i >= 0) select(data.position[i], false); };

function firstFrom(time) {
  for (const row of rows) { const n = firstIn(row, time); if (n < row.to) return bar(n); }
  return -1;
}

function listen() {
  const place = event => [event.offsetX, event.offsetY];
  canvas.addEventListener("pointerdown", event => {
    if (event.button) return;
    drag = {x: event.offsetX, at: event.offsetX, moved: false};
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", event => {
    if (drag) {
      drag.at = Math.max(gutter, event.offsetX);
      drag.moved ||= Math.abs(drag.at - drag.x) > 4;
      draw();
    } else showTip(...place(event));
  });
  canvas.addEventListener("pointerup", event => {
    const ended = drag;
    drag = null;
    if (!ended) return;
    if (ended.moved) {
      setView(...[timeAt(Math.max(gutter, ended.x)), timeAt(ended.at)].sort((a, b) => a - b));
      remember();
    } else choose(hit(...place(event)));
  });
  canvas.addEventListener("pointercancel", () => { drag = null; draw(); });
  canvas.addEventListener("pointerleave", () => $("tip").hidden = true);
  canvas.addEventListener("wheel", event => {
    if (document.activeElement !== canvas && !event.ctrlKey) return;  // the page scrolls
    event.preventDefault();
    zoom(Math.exp(event.deltaY * .002), event.offsetX);
  }, {passive: false});
  canvas.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  $("rows").addEventListener("change", event => { setRows(event.target.value); remember(); });
  $("in").addEventListener("click", () => zoom(.5));
  $("out").addEventListener("click", () => zoom(2));
  $("all").addEventListener("click", KEYS["0"]);
  addEventListener("resize", layOut);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", layOut);
}

function showTip(x, y) {
  const i = hit(x, y), tip = $("tip"), text = i < 0 ? aboutTransaction(x, y) : about(i);
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  tip.style.left = Math.min(x + 14, canvas.clientWidth - 320) + "px";
  tip.style.top = y + 14 + "px";
}

// The card of a quantum.

function select(position, scroll) {
  view.chosen = position;
  const card = $("card");
  if (card) {
    fillCard(card, position);
    if (scroll) $("timeline").scrollIntoView();
  }
  remember();
  draw();
  renderList();
}

function fillCard(card, position) {
  const status = data.quantumStatus[position], error = data.quantumError[position];
  const name = labels[taskOf[position]].name;
  card.replaceChildren(element("h3", `${name}: ${dataId(position)}`));
  card.append(element("p", statusOf(status), {className: isFailure(status) ? "failed" : ""}));
  if (error) {
    const link = element("a", facts.errors[error - 1], {href: "#error-" + (error - 1)});
    link.addEventListener("click", () => { const at = $("error-" + (error - 1)); if (at) at.open = true; });
    card.append(link);
  }
  const root = data.quantumRoot[position];
  if (root !== UNKNOWN) {
    card.append("Blocked by ", element("a", `${labels[taskOf[root]].name}: ${dataId(root)}`, {href: "#q=" + root}));
  }
  for (const i of barsOf(position)) {
    const pid = data.pid[i] === UNKNOWN ? "" : `, process ${data.pid[i]}`;
    card.append(element("p", `Attempt ${data.number[i]}: ${statusOf(data.status[i])}. Started ${moment(i)} UTC on ${lanes[laneOf[i]]}${pid},`
      + ` after ${duration(data.wait[i] * unit)} of waiting for a slot; took ${duration(data.seconds[i] * unit)}.`
      + ` CPU ${cpu(i)}, memory ${memory(data.memory[i])}.`));
  }
  const command = commandOf(position);
  if (command) card.append(commandWithButton(command));
  card.hidden = false;
}

// The command that runs a quantum alone, if it has failed: its UUID, and what is around that.
function commandOf(position) {
  const n = data.failedPosition.indexOf(position);
  if (n < 0) return "";
  const digits = [0, 1, 2, 3].map(i => data["failedId" + i][n].toString(16).padStart(8, "0")).join("");
  const uuid = [[0, 8], [8, 12], [12, 16], [16, 20], [20, 32]].map(span => digits.slice(...span)).join("-");
  return facts.commands[data.failedCommand[n]].join(uuid);
}

function commandWithButton(command) {
  const made = element("div", "", {className: "command"});
  made.append(element("code", command), element("button", "copy", {type: "button", className: "copy"}));
  return made;
}

async function copy(button) {
  const text = button.previousElementSibling.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // a browser without it, or one that does not allow it
    const area = element("textarea", text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "copied";
}

// The table: only the rows that can be seen are elements.

const ROW = 24;
const number = (p, column) => lastBar[p] < 0 ? -1 : data[column][lastBar[p]];
const COLUMNS = [
  ["task", p => labels[taskOf[p]].name, p => taskOf[p]],
  ["data ID", dataId, p => p],
  ["status", p => statusOf(data.quantumStatus[p]), p => data.quantumStatus[p]],
  ["attempts", p => lastBar[p] < 0 ? "" : data.number[lastBar[p]], p => number(p, "number")],
  ["started after", p => lastBar[p] < 0 ? "" : duration(data.start[lastBar[p]] * unit), p => number(p, "start")],
  ["time", p => lastBar[p] < 0 ? "" : duration(data.seconds[lastBar[p]] * unit), p => number(p, "seconds")],
  ["memory", p => lastBar[p] < 0 ? "" : memory(data.memory[lastBar[p]]),
    p => lastBar[p] < 0 || data.memory[lastBar[p]] === UNKNOWN ? -1 : data.memory[lastBar[p]]],
  ["slot", p => lastBar[p] < 0 ? "" : lanes[laneOf[lastBar[p]]], p => lastBar[p] < 0 ? -1 : laneOf[lastBar[p]]],
];
let listed = new Uint32Array(0), sorting = {column: 1, sign: 1};

function filter() {
  const words = view.text.toLowerCase().split(/[\s,=:]+/).filter(Boolean);
  const found = [], all = view.label < 0 && view.status < 0 && view.error < 0 && !words.length;
  matching = all ? null : new Uint8Array(quanta);
  for (let p = 0; p < quanta; p++) {
    if (view.label >= 0 && taskOf[p] !== view.label) continue;
    if (view.status >= 0 ? data.quantumStatus[p] !== view.status : data.quantumStatus[p] === NO_OUTCOME) continue;
    if (view.error >= 0 && data.quantumError[p] !== view.error + 1) continue;
    if (words.length && !contains(dataId(p).toLowerCase(), words)) continue;
    found.push(p);
    if (matching) matching[p] = 1;
  }
  listed = Uint32Array.from(found);
  sort();
  $("filter-label").value = view.label;
  $("filter-status").value = view.status;
  $("filter-text").value = view.text;
  const error = view.error >= 0 ? ` with ${facts.errors[view.error]}` : "";
  $("filter-count").textContent = `${listed.length.toLocaleString("en")} quanta${error}`;
  draw();
}

// All words, one after the other, whole: "visit 4" is not "visit 42".
const contains = (text, words) => ` ${text.replace(/,/g, "")} `.includes(` ${words.join(" ")} `)
  || words.every(word => text.split(/[\s,]+/).includes(word));

function sort() {
  const key = COLUMNS[sorting.column][2], keys = new Float64Array(quanta);
  for (const p of listed) keys[p] = sorting.sign * key(p);
  if (sorting.column !== 1 || sorting.sign < 0) listed.sort((a, b) => keys[a] - keys[b] || a - b);
  $("list").scrollTop = 0;
  renderList();
}

function renderList() {
  const list = $("list"), spacer = $("spacer");
  spacer.style.height = ROW * listed.length + "px";
  const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const to = Math.min(listed.length, from + Math.ceil((list.clientHeight || 420) / ROW) + 10);
  spacer.replaceChildren(...Array.from(listed.subarray(from, to), (p, i) => {
    const row = element("div", "", {className: p === view.chosen ? "row chosen" : "row"});
    row.style.top = ROW * (from + i) + "px";
    row.setAttribute("role", "row");
    row.dataset.position = p;
    for (const [, text] of COLUMNS) row.append(element("span", text(p)));
    row.children[1].title = row.children[1].textContent;  // it may be cut
    if (isFailure(data.quantumStatus[p])) row.children[2].className = "failed";
    return row;
  }));
}

function startTable() {
  const choices = (select, all, items) => {
    select.append(new Option(all, -1));
    for (const [value, text] of items) select.append(new Option(text, value));
    select.addEventListener("change", () => {
      view[select.id.replace("filter-", "")] = +select.value;
      filter();
      remember();
    });
  };
  choices($("filter-label"), "all tasks", labels.map((label, i) => [i, label.name]));
  const present = new Set(data.quantumStatus);
  choices($("filter-status"), "all statuses", facts.statuses.map((name, i) => [i, name]).filter(([i]) => present.has(i)));
  $("filter-text").addEventListener("input", event => { view.text = event.target.value; filter(); remember(); });
  $("filter-clear").addEventListener("click", () => {
    Object.assign(view, {label: -1, status: -1, error: -1, text: ""});
    filter();
    remember();
  });
  COLUMNS.forEach(([title], column) => {
    const button = element("button", title, {type: "button"});
    button.addEventListener("click", () => {
      sorting = {column, sign: sorting.column === column ? -sorting.sign : 1};
      sort();
    });
    $("head").append(button);
  });
  $("list").addEventListener("scroll", renderList);
  $("list").addEventListener("click", event => {
    const row = event.target.closest(".row");
    if (row) select(+row.dataset.position, false);
  });
  $("list").addEventListener("keydown", event => {
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (!step || !listed.length) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(listed.length - 1, listed.indexOf(view.chosen) + step));
    $("list").scrollTop = Math.max(0, ROW * at - 200);
    select(listed[at], false);
  });
}

// Begin.

for (const button of document.querySelectorAll(".copy")) button.hidden = false;
document.addEventListener("click", event => { if (event.target.matches(".copy")) copy(event.target); });
$("quanta-table").hidden = false;
startTable();
if (canvas) {
  $("static-timeline").hidden = true;
  $("live-timeline").hidden = false;
  document.querySelector("#timeline .controls").hidden = false;
  setRows("lane");
  listen();
  paint();
}
filter();
follow();
addEventListener("hashchange", follow);

Object.assign(pipetask, {
  facts, view, hit, select, paint,
  // The attempts that overlap a span of seconds since the beginning.
  bars: (from, to) => Array.from({length: bars}, (_, i) => i)
    .filter(i => data.start[i] * unit < to && endOf(i) * unit > from)
    .map(i => ({position: data.position[i], lane: laneOf[i], status: statusOf(data.status[i]),
      number: data.number[i], start: data.start[i] * unit, seconds: data.seconds[i] * unit})),
  // The middle of an attempt at a quantum on the canvas.
  place: position => {
    const i = lastBar[position], scale = (canvas.clientWidth - gutter) / (view.to - view.from);
    const row = rows.findIndex(row => { for (let n = row.from; n < row.to; n++) if (bar(n) === i) return true; });
    return [gutter + (data.start[i] + data.seconds[i] / 2 - view.from) * scale, AXIS + (row + .5) * rowHeight()];
  },
  zoom: (from, to) => { setView(from / unit, to / unit); remember(); },
  dataId, commandOf, listed: () => Array.from(listed),
  milliseconds: performance.now(),  // since the page was asked for
  ready: true,
});

})();
