"""What a page plays, sample by sample: an AudioWorklet beside the speakers takes it down."""

from __future__ import annotations

import base64

import numpy as np
from playwright.sync_api import BrowserContext, Page
from steps import wait

# The page's own policy lets no worklet of ours in: the context needs bypass_csp.
_SCRIPT = """(() => {
  const module = `registerProcessor("recorder", class extends AudioWorkletProcessor {
    block = new Float32Array(4096);
    filled = 0;
    process([input]) {
      this.block.set(input[0] ?? new Float32Array(128), this.filled);
      this.filled += 128;
      if (this.filled === this.block.length) {
        this.port.postMessage([currentFrame + 128, this.block.slice()]);
        this.filled = 0;
      }
      return true;
    }
  })`;
  const connect = AudioNode.prototype.connect;
  window.recording = { blocks: [], frames: 0, on: false };
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode && this.context instanceof AudioContext) {
      const url = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
      this.context.audioWorklet.addModule(url).then(() => {
        const recorder = new AudioWorkletNode(this.context, "recorder", { outputChannelCount: [1] });
        recorder.port.onmessage = ({ data: [frame, block] }) => {
          recording.blocks.push(block);
          recording.frames = frame;
          recording.on = true;
        };
        connect.call(this, recorder);
        connect.call(recorder, target);
      });
    }
    return connect.call(this, target, ...rest);
  };
})()"""

_TAKE = """() => {
  const all = new Float32Array(recording.blocks.reduce((sum, block) => sum + block.length, 0));
  recording.blocks.reduce((at, block) => (all.set(block, at), at + block.length), 0);
  recording.blocks = [];
  let text = "";
  const bytes = new Uint8Array(all.buffer);
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}"""


def record(context: BrowserContext) -> None:
    """Take down what every page of a context plays from now on."""
    context.add_init_script(_SCRIPT)


def listen(page: Page, samples: int) -> None:
    """Wait until so many more samples were played."""
    wait(lambda: page.evaluate("recording.on"), "the recorder", events_of=page)
    goal = page.evaluate("recording.frames") + samples
    wait(lambda: page.evaluate("recording.frames") >= goal, f"{samples} samples", events_of=page)


def taken(page: Page) -> np.ndarray:
    """What was played since the last call: the left channel."""
    data = base64.b64decode(page.evaluate(_TAKE))
    return np.frombuffer(data, dtype=np.float32).astype(np.float64)
