/** A stem's outline on a canvas. Decoration: what it shows is also in words and on the seek bar. */

import { columns, type Peaks } from "../audio/peaks";
import { h } from "../dom";

const COLUMN = 3; // CSS pixels of a bar and the gap after it
const GAP = 1;
const LEAST = 0.008; // of the height: silence is a thin line, not nothing

export class Waveform {
  readonly element = h("canvas", { class: "wave", "aria-hidden": "true" });
  private peaks: Peaks | null = null;
  private scale = 1;
  private readonly resized = new ResizeObserver(() => this.draw());
  private readonly dark = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = () => this.draw();

  constructor() {
    this.resized.observe(this.element);
    this.dark.addEventListener("change", this.redraw);
  }

  /** `scale`: what the heights are multiplied by; the same for all stems of a song, so that they can be compared. */
  show(peaks: Peaks, scale: number): void {
    this.peaks = peaks;
    this.scale = scale;
    this.draw();
  }

  close(): void {
    this.resized.disconnect();
    this.dark.removeEventListener("change", this.redraw);
  }

  private draw(): void {
    const { clientWidth, clientHeight } = this.element;
    const pen = this.element.getContext("2d");
    if (!pen || !this.peaks || clientWidth === 0) return;
    const density = window.devicePixelRatio || 1;
    this.element.width = Math.round(clientWidth * density);
    this.element.height = Math.round(clientHeight * density);
    pen.scale(density, density);
    pen.fillStyle = getComputedStyle(this.element).color;
    const count = Math.floor(clientWidth / COLUMN);
    const found = columns(this.peaks, count);
    const middle = clientHeight / 2;
    for (let column = 0; column < count; column++) {
      const top = middle - Math.max(LEAST, (found[2 * column + 1] ?? 0) * this.scale) * middle;
      const bottom = middle - Math.min(-LEAST, (found[2 * column] ?? 0) * this.scale) * middle;
      pen.fillRect((column * clientWidth) / count, top, COLUMN - GAP, bottom - top);
    }
  }
}
