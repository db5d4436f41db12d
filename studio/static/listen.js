// The page Listen: the live device, its detections, and what becomes of them.
import { root } from "./studio.js";
import { LevelBar, Microphone, Trace, remembered } from "./microphone.js";

const by = id => document.getElementById(id);
const form = by("listen");
if (form) {
  const toggle = by("toggle"), fault = by("fault"), trace = new Trace(by("trace")), level = new LevelBar(document.querySelector("[data-level]"));
  let microphone = null, now = 0, boots = 0, waiting = new Map(), asked = 0, calm = 0, saving = false;

  const say = line => { fault.textContent = line; fault.hidden = !line; };
  const share = value => (value / 255).toFixed(3);
  const buttons = on => { by("missed").disabled = by("save").disabled = !on; };
  const state = (listening, text) => {
    toggle.textContent = listening ? "Stop" : "Start listening";
    toggle.classList.toggle("primary", !listening);
    for (const one of form.querySelectorAll("select, input")) one.disabled = listening;
    document.body.dataset.listening = listening;
    if (text) by("verdict").textContent = text;
  };

  const query = () => {
    const given = new URLSearchParams();
    for (const name of ["model", "cutoff", "window"]) given.set(name, form.elements[name].value);
    return given;
  };

  async function begin() {
    say("");
    toggle.disabled = true;
    microphone?.release();
    const mine = microphone = new Microphone();
    mine.addEventListener("heard", event => heard(event.detail));
    mine.addEventListener("told", event => told(event.detail));
    mine.addEventListener("fault", event => { say(event.detail); if (saving) { saving = false; by("save").disabled = false; by("save").removeAttribute("aria-busy"); } });
    mine.addEventListener("ended", () => { if (mine === microphone) { buttons(false); state(false, "Not listening"); say("The studio closed the connection; what was not saved is gone."); } });
    try {
      const device = await mine.start(`${root}/listen/hear?${query()}`);
      by("found").replaceChildren(); by("none").hidden = false; by("saved").hidden = true; boots = 0;
      trace.clear(device);
      by("now-c").textContent = share(device.cutoff);
      say(device.warning ?? "");
      buttons(true);
      state(true, "Listening");
    } catch (error) {
      say(error.message);
      state(false, "Not listening");
    }
    toggle.disabled = false;
  }

  function heard(one) {
    if (one.booted) { boots++; for (const button of by("found").querySelectorAll("button")) button.disabled = true; by("verdict").textContent = "The recording was full: the device booted anew"; }
    now = one.seconds;
    trace.add(one); level.show(one);
    if (one.p.length) { by("now-p").textContent = share(one.p.at(-1)); by("now-a").textContent = share(one.a.at(-1)); }
    by("now-h").textContent = one.hold_off ? `${Math.max(.1, one.hold_off * trace.device.step).toFixed(1)} s` : "over";
    for (const detection of one.detections) list(detection);
    if (calm && performance.now() > calm) { calm = 0; by("verdict").textContent = "Listening"; by("verdict").classList.remove("hit"); }
  }

  function row(kind, second, words, label) {
    by("none").hidden = true;
    const item = document.createElement("li");
    item.dataset.second = second;
    item.innerHTML = '<span class="num"></span><span class="muted"></span><span></span>';
    item.children[0].textContent = `${second.toFixed(2)} s`;
    item.children[1].textContent = words;
    const button = document.createElement("button");
    button.type = "button"; button.textContent = label;
    button.addEventListener("click", () => keep(kind, second, item, button));
    item.children[2].append(button);
    by("found").prepend(item);
    return [item, button];
  }

  function list(detection) {
    const device = trace.device;
    by("verdict").textContent = `${device.wake_word}: detected`;
    by("verdict").classList.add("hit");
    calm = performance.now() + 2000;
    const [item] = row("false accept", detection.seconds, `average ${share(detection.average)}, highest ${share(detection.max)}`, "That was no wake word");
    item.dataset.slice = detection.slice;
  }

  function keep(kind, second, item, button) {
    const of = ++asked;
    waiting.set(of, { item, button, kind });
    button.disabled = true;
    microphone.ask({ do: "keep", of, kind, seconds: second, dataset: by("dataset").value, speaker: by("speaker").value, microphone: microphone.label });
  }

  function told(one) {
    if (one.do === "keep") {
      const { item, button, kind } = waiting.get(one.of) ?? {};
      waiting.delete(one.of);
      if (!item) return;
      item.children[1].textContent = one.refused ? `Not kept: ${one.refused}` : `Kept as ${kind === "miss" ? "wake word" : "hard negative"}: ${one.name}`;
      item.children[1].className = one.refused ? "fault" : "kept";
      if (one.refused) button.disabled = false; else button.remove();
    } else if (one.do === "save") {
      saving = false;
      by("save").disabled = false;
      by("save").removeAttribute("aria-busy");
      saved(one);
    } else if (one.do === "stop") {
      heard(one);
      state(false, "Stopped");
      by("verdict").classList.remove("hit");
      document.body.dataset.stopped = "true";
    }
  }

  function saved(one) {
    const place = by("saved");
    place.hidden = false;
    place.replaceChildren();
    const line = text => { const p = document.createElement("p"); p.textContent = text; place.append(p); return p; };
    line(`Saved ${one.seconds.toFixed(1)} s as ${one.path}.`);
    if (one.command === undefined) return;
    const same = line(one.equal ? `The simulation of this recording detects at the same samples: ${one.simulated.length === 1 ? "1 detection" : `${one.simulated.length} detections`}.` : `The simulation detects at slices ${one.simulated.join(", ") || "none"}, the page did at ${one.live.join(", ") || "none"}. That is an error of this program; please report it.`);
    same.className = one.equal ? "good" : "fault";
    place.dataset.equal = one.equal;
    place.dataset.path = one.path;
    const code = document.createElement("div");
    code.className = "code";
    code.innerHTML = '<pre tabindex="0" aria-label="Command"></pre><button type="button" class="quiet" data-copy>Copy</button>';
    code.querySelector("pre").textContent = one.command;
    place.append(code);
  }

  function missed() {
    if (by("missed").disabled) return;
    if (!by("speaker").value.trim()) { say("Say who speaks, below: a missed wake word lies in its speaker's folder."); by("speaker").focus(); return; }
    say("");
    const [item, button] = row("miss", now, "missed", "Keep it");
    keep("miss", now, item, button);
  }

  form.addEventListener("submit", async event => {
    event.preventDefault();
    if (document.body.dataset.listening === "true") await microphone.stop(); else await begin();
  });
  by("missed").addEventListener("click", missed);
  by("save").addEventListener("click", () => { saving = by("save").disabled = true; by("save").setAttribute("aria-busy", "true"); microphone.ask({ do: "save" }); });
  remembered(by("speaker"));
  by("where").addEventListener("submit", event => event.preventDefault());
  document.addEventListener("keydown", event => {
    if (event.key.toLowerCase() === "m" && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest("input, select, textarea")) missed();
  });
  const shown = () => {
    const option = form.elements.model.selectedOptions[0];
    form.elements.cutoff.placeholder = option.dataset.cutoff;
    form.elements.window.placeholder = option.dataset.window;
    by("now-c").textContent = (Math.trunc(option.dataset.cutoff * 255) / 255).toFixed(3);
  };
  form.elements.model.addEventListener("change", shown);
  shown();
}
