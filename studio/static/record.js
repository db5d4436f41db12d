// The page Record: guided takes of a microphone.
import { ask, root } from "./studio.js";
import { LevelBar, Microphone, Trace, remembered } from "./microphone.js";

const by = id => document.getElementById(id);
const LONGEST = { word: 5, speech: 30, room: 30 }, SILENT_FOR = .9, LEAST = 1.2, ABOVE = 12;
const trace = new Trace(by("trace")), level = new LevelBar(document.querySelector("[data-level]")), player = by("player");
let microphone = null, take = null, floor = -70;

const say = line => { by("fault").textContent = line; by("fault").hidden = !line; };
const what = () => by("what").value;
const way = () => document.querySelector("#ways [aria-pressed=true]");

function prompt() {
  const lines = { speech: "Talk as you do at home: read something, or tell of your day, without the wake word.", room: "Leave the room as it is: music, dishes, the television, a fan." };
  by("ways").hidden = what() !== "word";
  by("prompt").textContent = lines[what()] ?? way().dataset.line;
  by("take-help").textContent = what() === "word" ? "A take ends by itself when you are silent again." : `A take lasts at most ${LONGEST[what()]} s; press again to end it.`;
}

async function counts() {
  if (!by("speaker").value.trim()) return show({});
  try { show(await ask(`${root}/record/takes?${new URLSearchParams({ dataset: by("dataset").value, speaker: by("speaker").value.trim() })}`)); } catch (error) { say(Object.values(error.errors ?? {}).join(" ")); }
}

function show(made) {
  for (const button of document.querySelectorAll("#ways button")) {
    const count = made[button.dataset.take] ?? 0;
    button.querySelector(".count").textContent = `${count} of ${button.dataset.takes}`;
    button.classList.toggle("full", count >= Number(button.dataset.takes));
  }
}

async function open() {
  say("");
  by("open").disabled = true;
  microphone?.release();
  const mine = microphone = new Microphone();
  mine.addEventListener("heard", event => heard(event.detail));
  mine.addEventListener("told", event => told(event.detail));
  mine.addEventListener("fault", event => { say(event.detail); ended(); });
  mine.addEventListener("ended", () => { if (mine === microphone) closed("The studio closed the connection; the takes that are listed are saved."); });
  try {
    const device = await mine.start(`${root}/record/hear?${new URLSearchParams({ model: by("model").value })}`);
    by("booth").hidden = false;
    by("hearing").hidden = device.cutoff === undefined;
    trace.clear(device);
    by("open").textContent = "Close the microphone";
    by("open").classList.remove("primary");
    by("model").disabled = true;
    document.body.dataset.open = "true";
    prompt(); counts();
    by("take").focus();
  } catch (error) { microphone = null; say(error.message); }
  by("open").disabled = false;
}

function closed(line) {
  microphone = null;
  ended();
  by("booth").hidden = true;
  by("model").disabled = false;
  by("open").textContent = "Open the microphone";
  by("open").classList.add("primary");
  delete document.body.dataset.open;
  say(line);
}

function heard(one) {
  trace.add(one); level.show(one);
  if (one.booted) {
    say(take ? "The recording was full, and the device booted anew during this take; record it again." : "The recording was full: the device booted anew.");
    if (take) ended();
  }
  if (!take) { floor = Math.min(-35, one.level > floor ? floor + .3 : one.level); return; }
  if (take.from === undefined) return;
  const lasted = one.seconds - take.from;
  if (what() === "word") {
    if (one.level > floor + ABOVE && one.level > -50) { take.spoke = true; take.quiet = one.seconds; }
    if (take.spoke && lasted > LEAST && one.seconds - take.quiet > SILENT_FOR) return end();
  }
  if (lasted > LONGEST[what()]) end();
}

function begin() {
  if (!microphone || take) return;
  if (what() !== "room" && !by("speaker").value.trim()) { say("Say who speaks, above: each speaker has a folder."); by("speaker").focus(); return; }
  say("");
  take = { spoke: false, way: what() === "word" ? way().dataset.take : what() };
  document.body.classList.add("recording");
  by("take-words").textContent = "Stop";
  microphone.ask({ do: "begin" });
}

function end() {
  if (!take || take.from === undefined || take.ending) return;
  take.ending = true;
  microphone.ask({ do: "end", from: take.from, what: what(), take: take.way, dataset: by("dataset").value, speaker: by("speaker").value, microphone: microphone.label });
}

function ended() {
  take = null;
  document.body.classList.remove("recording");
  by("take-words").textContent = "Record";
}

function told(one) {
  if (one.do === "begin" && take) { take.from = one.seconds; take.quiet = one.seconds; trace.takes = [[one.seconds, undefined]]; }
  if (one.do !== "end") return;
  if (trace.takes.length) trace.takes[0][1] = trace.now;
  const way = take?.way ?? "";
  ended();
  list(one, way);
  counts();
}

function list(one, way) {
  by("none").hidden = true;
  by("taken").classList.add("takes");
  const item = document.createElement("li");
  item.innerHTML = "<span></span><span></span>";
  const [words, does] = item.children;
  if (one.refused) {
    words.textContent = `Not kept: ${one.refused}. Try again.`;
    words.className = "fault";
  } else {
    const verdict = document.createElement("strong");
    verdict.textContent = one.detected === null ? "Kept" : one.detected ? "Heard" : "Not heard";
    verdict.className = one.detected === null ? "" : one.detected ? "yes" : "no";
    words.append(verdict, ` · ${way}${one.average === null ? "" : ` · highest average ${one.average.toFixed(3)}`}`);
    const place = document.createElement("div");
    place.className = "muted small"; place.textContent = one.name;
    words.append(place);
    item.dataset.name = one.name;
    const it = new URLSearchParams({ dataset: one.dataset, name: one.name });
    does.append(button("Play", () => { player.src = `${root}/record/clips/sound?${it}`; player.play(); }), " ", button("Reject", async self => {
      self.disabled = true;
      try {
        await ask(`${root}/record/clips/reject?${it}`, { method: "POST" });
        item.replaceChildren(`${one.name} was rejected; it lies among the rejected clips.`);
        counts();
      } catch (error) { self.disabled = false; say(Object.values(error.errors ?? { "": "The studio does not answer." }).join(" ")); }
    }));
  }
  by("taken").prepend(item);
}

function button(text, does) {
  const made = document.createElement("button");
  made.type = "button"; made.textContent = text;
  made.addEventListener("click", () => does(made));
  return made;
}

remembered(by("speaker"));
by("open").addEventListener("click", () => { if (microphone) { const old = microphone; closed(""); old.release(); } else open(); });
by("take").addEventListener("click", () => take ? end() : begin());
by("setup").addEventListener("submit", event => event.preventDefault());
by("what").addEventListener("change", prompt);
by("dataset").addEventListener("input", () => { by("goes").textContent = `datasets/${by("dataset").value}`; });
for (const name of ["dataset", "speaker"]) by(name).addEventListener("change", counts);
for (const one of document.querySelectorAll("#ways button")) one.addEventListener("click", () => {
  for (const other of document.querySelectorAll("#ways button")) other.setAttribute("aria-pressed", String(other === one));
  prompt();
});
document.addEventListener("keydown", event => {
  if (event.key !== " " || event.repeat || !microphone || event.target.closest("input, select, textarea, button, a, summary")) return;
  event.preventDefault();
  if (take) end(); else begin();
});
