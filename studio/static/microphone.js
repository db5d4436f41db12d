// The microphone of this browser, sent to the studio on this machine block by block; what it answers comes back as events.
//
// A `Microphone` is an EventTarget: `heard` (a block's answer), `told` (the answer to something asked), `fault` (a line),
// `ended`. Echo cancelling, noise suppression and automatic gain are off: a device hears none of them.

const RAW = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };

export class Microphone extends EventTarget {
  /** Ask for the microphone and connect. `address` is the page's socket with its query, without the rate. */
  async start(address) {
    if (!navigator.mediaDevices) throw new Error("Browsers give a microphone to https addresses alone, and to this machine's own: open the studio at one that begins with https://, http://127.0.0.1 or http://localhost.");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: RAW });
    } catch (error) {
      throw new Error(error.name === "NotAllowedError" ? "The browser does not allow the microphone here; allow it beside the address, and start again." : error.name === "NotFoundError" ? "This machine has no microphone; connect one, and start again." : `The microphone cannot be opened (${error.message || error.name}).`);
    }
    this.label = this.stream.getAudioTracks()[0]?.label ?? "";
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule(new URL("microphone-worklet.js", import.meta.url));
    await this.context.resume();
    const query = new URLSearchParams(address.split("?")[1] ?? "");
    query.set("rate", String(this.context.sampleRate));
    const where = new URL(address.split("?")[0], location.href);
    where.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    where.search = query;
    this.socket = new WebSocket(where);
    this.socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      this.socket.onerror = () => reject(new Error("The studio does not answer; start mww-studio again."));
      this.socket.onmessage = event => {
        const told = JSON.parse(event.data);
        if (told.error) reject(new Error(told.error));
        else resolve(this.device = told);
      };
    }).catch(error => { this.release(); throw error; });
    this.socket.onmessage = event => this.take(JSON.parse(event.data));
    this.socket.onclose = () => { this.release(); this.dispatchEvent(new Event("ended")); };
    this.node = new AudioWorkletNode(this.context, "gather", { numberOfOutputs: 0 });
    this.node.port.onmessage = event => {
      if (event.data === null) { this.flushed?.(); return; }
      if (this.socket.readyState !== WebSocket.OPEN) return;
      if (this.socket.bufferedAmount > 4e6) { this.fault("This machine does not keep up with the microphone; close other work on it."); return; }
      this.socket.send(event.data.buffer);
    };
    this.source = this.context.createMediaStreamSource(this.stream);
    this.source.connect(this.node);
    return this.device;
  }

  take(told) {
    if (told.error) this.fault(told.error);
    else this.dispatchEvent(new CustomEvent(told.do ? "told" : "heard", { detail: told }));
  }

  fault(line) { this.dispatchEvent(new CustomEvent("fault", { detail: line })); }

  /** Ask the studio for something; the answer is a `told` event with the same `do`. */
  ask(what) { if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(what)); else this.fault("The microphone is closed; start it again."); }

  /** Stop hearing; the connection stays, so that what was heard can still be saved. */
  async stop() {
    if (!this.source) return;
    this.source.disconnect();
    await new Promise(resolve => { this.flushed = resolve; this.node.port.postMessage("flush"); setTimeout(resolve, 1000); });
    this.source = null;
    this.quiet();
    this.ask({ do: "stop" });
  }

  quiet() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.context?.close().catch(() => {});
  }

  release() { this.quiet(); if (this.socket && this.socket.readyState < WebSocket.CLOSING) this.socket.close(); }
}

/** Draws what a device hears: the last seconds of probability, average, cutoff, hold-off and detections. */
export class Trace {
  constructor(canvas, seconds = 12) {
    this.canvas = canvas; this.span = seconds; this.clear();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear(device = null) { this.device = device; this.points = []; this.holds = []; this.marks = []; this.takes = []; this.now = 0; this.draw(); }

  add(told) {
    if (told.booted) { this.points = []; this.holds = []; this.marks = []; this.takes = []; }
    this.now = told.seconds;
    const device = this.device;
    if (device?.cutoff !== undefined && told.p) {
      told.p.forEach((p, i) => this.points.push([device.first_seconds + (told.first + i) * device.inference_seconds, p, told.a[i]]));
      this.holds.push([told.seconds, told.hold_off > 0]);
      for (const one of told.detections) this.marks.push(one.seconds);
    }
    const oldest = this.now - this.span - 1;
    while (this.points.length && this.points[0][0] < oldest) this.points.shift();
    while (this.holds.length > 1 && this.holds[1][0] < oldest) this.holds.shift();
    while (this.marks.length && this.marks[0] < oldest) this.marks.shift();
    this.request ??= requestAnimationFrame(() => { this.request = null; this.draw(); });
  }

  draw() {
    const { canvas } = this, ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
    const pen = canvas.getContext("2d"), style = getComputedStyle(canvas), color = name => style.getPropertyValue(name).trim();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const top = 22, bottom = height - 22, left = 34, right = width - 10;
    const x = second => right - (this.now - second) / this.span * (right - left), y = value => bottom - value / 255 * (bottom - top);
    pen.font = `12px ${style.fontFamily}`;
    pen.textBaseline = "middle"; pen.textAlign = "right";
    for (const [value, text] of [[0, "0"], [127.5, "0.5"], [255, "1"]]) {
      pen.strokeStyle = color("--hair"); pen.lineWidth = 1;
      pen.beginPath(); pen.moveTo(left, y(value)); pen.lineTo(right, y(value)); pen.stroke();
      pen.fillStyle = color("--muted"); pen.fillText(text, left - 7, y(value));
    }
    pen.save(); pen.beginPath(); pen.rect(left, 0, right - left, height); pen.clip();
    for (let i = 0; i + 1 < this.holds.length; i++) if (this.holds[i + 1][1]) {
      pen.fillStyle = color("--wash");
      pen.fillRect(x(this.holds[i][0]), top, x(this.holds[i + 1][0]) - x(this.holds[i][0]) + .6, bottom - top);
    }
    for (const [from, to] of this.takes) { pen.fillStyle = color("--soft"); pen.fillRect(x(from), top, x(to ?? this.now) - x(from), bottom - top); }
    pen.textAlign = "center"; pen.fillStyle = color("--muted");
    if (this.now) for (let second = Math.ceil(Math.max(0, this.now - this.span)); second <= this.now; second++) if (second % 2 === 0) pen.fillText(`${second} s`, x(second), bottom + 13);
    if (this.points.length) {
      pen.beginPath(); pen.moveTo(x(this.points[0][0]), y(0));
      for (const [second, p] of this.points) pen.lineTo(x(second), y(p));
      pen.lineTo(x(this.points.at(-1)[0]), y(0)); pen.closePath();
      pen.globalAlpha = .16; pen.fillStyle = color("--accent"); pen.fill(); pen.globalAlpha = 1;
      const line = (index, name, wide) => {
        pen.beginPath(); this.points.forEach((point, i) => i ? pen.lineTo(x(point[0]), y(point[index])) : pen.moveTo(x(point[0]), y(point[index])));
        pen.strokeStyle = color(name); pen.lineWidth = wide; pen.lineJoin = "round"; pen.stroke();
      };
      line(1, "--accent", 1.2); line(2, "--ink", 2.2);
    }
    if (this.device?.cutoff !== undefined) {
      pen.setLineDash([6, 4]); pen.strokeStyle = color("--bad"); pen.lineWidth = 1.4;
      pen.beginPath(); pen.moveTo(left, y(this.device.cutoff)); pen.lineTo(right, y(this.device.cutoff)); pen.stroke(); pen.setLineDash([]);
    }
    for (const second of this.marks) {
      pen.strokeStyle = pen.fillStyle = color("--second"); pen.lineWidth = 2;
      pen.beginPath(); pen.moveTo(x(second), top - 3); pen.lineTo(x(second), bottom); pen.stroke();
      pen.font = `600 12px ${style.fontFamily}`; pen.textAlign = x(second) > right - 40 ? "right" : "center";
      pen.fillText(`${second.toFixed(2)} s`, x(second), top - 12);
    }
    pen.restore();
  }
}

/** A bar of the level with its figure and a light for clipping, which stays lit for a moment. */
export class LevelBar {
  constructor(place) { this.place = place; this.bar = place.querySelector("meter"); this.told = place.querySelector("output"); this.lamp = place.querySelector(".clipping"); this.until = 0; this.shown = -60; }

  show(told) {
    this.shown = Math.max(told.level, this.shown - 2);
    this.bar.value = Math.max(-60, this.shown);
    const now = performance.now();
    if (told.clips) this.until = now + 1500;
    const clips = now < this.until;
    if (this.lamp.hidden === clips) this.lamp.hidden = !clips;
    if (now - (this.last ?? 0) > 200) { this.last = now; this.told.textContent = told.level <= -119 ? "silence" : `${told.level.toFixed(0).replace("-", "\u2212")} dBFS`; }
  }
}

/** A field that begins with what this browser was told last, on whatever page. */
export function remembered(input) {
  const name = `studio-${input.name}`;
  try { input.value ||= localStorage.getItem(name) ?? ""; } catch { return; }
  input.addEventListener("change", () => localStorage.setItem(name, input.value));
}
