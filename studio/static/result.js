// One result: its figures at any cutoff, drawn, and what is missed and accepted falsely there.
import { ask, root } from "./studio.js";

const by = id => document.getElementById(id), place = by("sweep"), key = place.dataset.key, slider = by("slider"), evidence = by("evidence");
const SVG = "http://www.w3.org/2000/svg", WIDE = 256, HIGH = 176, LEFT = 38, RIGHT = 8, TOP = 8, BOTTOM = 22;
let curve = null, asked = 0, timer = 0;

const rate = value => value === 0 ? "0" : value < 1 ? (value >= .0005 ? value.toFixed(3) : value.toPrecision(1)) : value < 10 ? value.toFixed(2) : value.toFixed(1);
const percent = value => { let text = (100 * value).toFixed(1); if ((text === "100.0" && value < 1) || (text === "0.0" && value > 0)) text = (100 * value).toFixed(3); return text; };

function shape(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  parent.append(made);
  return made;
}

/** A scale that is linear up to one event and logarithmic from there, so that zero has its place. */
function symlog(one, most) {
  const at = value => value <= one ? .8 * value / one : .8 + Math.log10(value / one);
  return value => at(value) / at(most);
}

function plot(id, kind, ticksX, ticksY, x, y) {
  const svg = shape("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: kind, role: "img", "aria-label": by(id).querySelector("figcaption").textContent }, by(id));
  for (const [value, text] of ticksY) {
    shape("line", { class: "axis", x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value) }, svg);
    shape("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, svg).textContent = text;
  }
  for (const [value, text] of ticksX) {
    shape("line", { class: "axis", x1: x(value), x2: x(value), y1: TOP, y2: HIGH - BOTTOM }, svg);
    shape("text", { x: x(value), y: HIGH - 6, "text-anchor": "middle" }, svg).textContent = text;
  }
  return svg;
}

const across = part => LEFT + part * (WIDE - LEFT - RIGHT), up = part => HIGH - BOTTOM - part * (HIGH - TOP - BOTTOM);
const path = points => "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");

function draw() {
  const x = cutoff => across(cutoff / 255), shares = [[0, "0"], [.5, "50"], [1, "100 %"]];
  const cutoffs = [[0, "0"], [127.5, "0.5"], [255, "1"]], marks = [];
  const lines = (svg, values, y) => {
    const points = values.map((one, i) => [x(i + 1), one]);
    shape("path", { class: "band", d: `${path(points.map(([at, one]) => [at, y(one[2])]))}L${path(points.map(([at, one]) => [at, y(one[1])]).reverse()).slice(1)}Z` }, svg);
    shape("path", { class: "line", d: path(points.map(([at, one]) => [at, y(one[0])])) }, svg);
    shape("line", { class: "own", x1: x(curve.cutoff), x2: x(curve.cutoff), y1: TOP, y2: HIGH - BOTTOM }, svg);
    const here = shape("line", { class: "here", y1: TOP, y2: HIGH - BOTTOM }, svg), spot = shape("circle", { class: "spot", r: 3.5 }, svg);
    marks.push(cutoff => { here.setAttribute("x1", x(cutoff)); here.setAttribute("x2", x(cutoff)); spot.setAttribute("cx", x(cutoff)); spot.setAttribute("cy", y(values[cutoff - 1][0])); });
  };
  let scale = null, rates = [];
  if (curve.rate) {
    const one = 1 / curve.hours, most = Math.max(...curve.rate.map(each => each[0]), curve.rate.at(-1)[2], 4) * 1.1;
    scale = symlog(one, most);
    rates = [0, .01, .1, .5, 2, 10, 100, 1000].filter(value => !value || (value >= one * .9 && value <= most)).map(value => [value, String(value)]);
  }
  if (curve.recall) lines(plot("plot-recall", "one", cutoffs, shares, x, share => up(share)), curve.recall, share => up(share));
  if (curve.rate) { const y = value => up(Math.min(scale(value), 1.04)); lines(plot("plot-rate", "other", cutoffs, rates, x, y), curve.rate, y); }
  if (curve.recall && curve.rate) {
    const at = value => across(Math.min(scale(value), 1.04)), missed = symlog(100 / curve.utterances, 100), y = value => up(missed(value));
    const steps = [0, .1, 1, 10, 100].filter(value => !value || value >= 90 / curve.utterances).map(value => [value, value === 100 ? "100 %" : String(value)]);
    const svg = plot("plot-det", "one", rates, steps, at, y);
    const points = curve.recall.map((one, i) => [at(curve.rate[i][0]), y(100 * (1 - one[0]))]);
    shape("path", { class: "line", d: path(points) }, svg);
    const spot = shape("circle", { class: "spot", r: 4 }, svg);
    marks.push(cutoff => { spot.setAttribute("cx", points[cutoff - 1][0]); spot.setAttribute("cy", points[cutoff - 1][1]); });
  }
  for (const [id, has] of [["plot-recall", curve.recall], ["plot-rate", curve.rate], ["plot-det", curve.recall && curve.rate], ["has-recall", curve.recall], ["has-rate", curve.rate]]) by(id).hidden = !has;
  return marks;
}

function at(cutoff, marks) {
  const probability = String(curve.probabilities[cutoff - 1]);
  by("at-cutoff").textContent = probability;
  by("at-uint8").textContent = `${cutoff} of 255`;
  slider.setAttribute("aria-valuetext", probability);
  if (curve.recall) { const [value, low, high, count] = curve.recall[cutoff - 1]; by("at-recall").textContent = `${percent(value)} %`; by("at-recall-interval").textContent = `${percent(low)}\u2013${percent(high)} %, ${count} of ${curve.utterances}`; }
  if (curve.rate) { const [value, low, high, count] = curve.rate[cutoff - 1]; by("at-rate").textContent = rate(value); by("at-rate-interval").textContent = `${rate(low)}\u2013${rate(high)}, ${count} in ${curve.hours >= 10 ? curve.hours.toFixed(1) : curve.hours.toFixed(2)} h`; }
  for (const mark of marks) mark(cutoff);
  by("back").hidden = cutoff === curve.cutoff;
  if (by("card-elsewhere")) by("card-elsewhere").hidden = cutoff === curve.cutoff;
  if (by("manifest-cutoff")) by("manifest-cutoff").textContent = probability;
  for (const link of document.querySelectorAll("[data-at-cutoff]")) link.search = `?cutoff=${cutoff}`;
}

async function show(cutoff) {
  const mine = ++asked;
  evidence.classList.add("stale");
  try {
    const html = await ask(`${root}/results/${key}/evidence?cutoff=${cutoff}`);
    if (mine === asked) evidence.innerHTML = html;
  } catch (error) {
    by("sweep-fault").textContent = Object.values(error.errors ?? { "": "The studio does not answer." }).join(" ");
    by("sweep-fault").hidden = false;
  }
  if (mine === asked) evidence.classList.remove("stale");
}

try {
  curve = await ask(`${root}/results/${key}/curve`);
} catch (error) {
  by("sweep-fault").textContent = Object.values(error.errors ?? { "": "The studio does not answer." }).join(" ");
  by("sweep-fault").hidden = false;
  curve = {};
}
by("computing").hidden = true;
if (curve.recall || curve.rate) {
  by("knows").hidden = false;
  const marks = draw();
  const move = () => {
    const cutoff = Number(slider.value);
    at(cutoff, marks);
    clearTimeout(timer);
    if (curve.simulated) timer = setTimeout(() => show(cutoff), 250);
  };
  slider.addEventListener("input", move);
  by("back").addEventListener("click", () => { slider.value = curve.cutoff; move(); slider.focus(); });
  at(Number(slider.value), marks);
} else by("unknown").hidden = false;

const player = new Audio();
evidence.addEventListener("click", event => {
  const button = event.target.closest("[data-wav]");
  if (!button) return;
  const was = button.classList.contains("playing");
  for (const one of evidence.querySelectorAll(".playing")) { one.classList.remove("playing"); one.textContent = "Play"; }
  player.pause();
  if (was) return;
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(new Blob([Uint8Array.from(atob(button.dataset.wav), one => one.charCodeAt(0))], { type: "audio/wav" }));
  player.play();
  button.classList.add("playing"); button.textContent = "Stop";
  player.onended = () => { button.classList.remove("playing"); button.textContent = "Play"; };
});
