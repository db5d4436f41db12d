// Runs in the browser's audio thread: gathers the microphone's samples, averages its channels, hands blocks on.
const BLOCK = 2048;

class Gather extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
    this.port.onmessage = () => { this.hand(); this.port.postMessage(null); };
  }

  hand() {
    if (!this.filled) return;
    const block = this.block.slice(0, this.filled);
    this.port.postMessage(block, [block.buffer]);
    this.filled = 0;
  }

  process([input]) {
    const channels = input.length;
    if (!channels) return true;
    const frames = input[0].length;
    for (let i = 0; i < frames; i++) {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += input[c][i];
      this.block[this.filled++] = sum / channels;
      if (this.filled === BLOCK) this.hand();
    }
    return true;
  }
}

registerProcessor("gather", Gather);
