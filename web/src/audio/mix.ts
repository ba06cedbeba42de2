/** What the faders say. Pure. */

/** One stem's controls. */
export interface Strip {
  readonly volume: number; // dB, SILENT to LOUDEST
  readonly pan: number; // -1 left to 1 right
  readonly muted: boolean;
  readonly soloed: boolean;
}

/** What changes all stems alike. */
export interface Master {
  readonly volume: number; // dB
  readonly tempo: number; // 1 is as recorded
  readonly key: number; // semitones
}

export const SILENT = -40; // dB; the lowest place of a fader is silence
export const LOUDEST = 6; // dB
export const PLAIN: Strip = { volume: 0, pan: 0, muted: false, soloed: false };
export const AS_RECORDED: Master = { volume: 0, tempo: 1, key: 0 };

/** The factor of a fader. */
export function linear(db: number): number {
  return db <= SILENT ? 0 : 10 ** (db / 20);
}

/** Which stems can be heard: the soloed ones if any is soloed, and of those the ones that are not muted. */
export function audible(strips: Readonly<Record<string, Strip>>): string[] {
  const anySolo = Object.values(strips).some((strip) => strip.soloed);
  return Object.entries(strips)
    .filter(([, strip]) => !strip.muted && (strip.soloed || !anySolo))
    .map(([name]) => name);
}

/** The factor that each stem is heard with, 0 for those that are not. */
export function gains(strips: Readonly<Record<string, Strip>>): Record<string, number> {
  const heard = new Set(audible(strips));
  return Object.fromEntries(
    Object.entries(strips).map(([name, strip]) => [name, heard.has(name) ? linear(strip.volume) : 0]),
  );
}

/** How far to shift the pitch, in semitones, of sources that play at `tempo` times their speed. */
export function transpose(master: Master): number {
  return master.key - 12 * Math.log2(master.tempo);
}

/** Whether sound has to go through the pitch shifter at all. */
export function untouched(master: Master): boolean {
  return master.tempo === 1 && master.key === 0;
}
