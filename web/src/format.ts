/** Numbers as people read them. Pure. */

/** 63.4 -> "1:03", with one digit "1:03.4", with three "1:03.400"; from an hour on "1:01:03". */
export function clock(seconds: number, digits = 0): string {
  const unit = 10 ** digits;
  const whole = Math.max(0, digits ? Math.round(seconds * unit) : Math.floor(seconds)) / unit;
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = (whole % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** The seconds in "63.4", "1:03.4" or "1:01:03"; null when it is no time. */
export function parseClock(text: string): number | null {
  const parts = text.trim().replace(",", ".").split(":");
  const plain = parts.every((part, index) => (index === parts.length - 1 ? /^\d+(\.\d*)?$/ : /^\d+$/).test(part));
  if (!plain || parts.length > 3) return null;
  return parts.reduce((total, part) => total * 60 + Number(part), 0);
}

/** A time as it is spoken: "1 minute 3 seconds". */
export function spoken(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  const rest = `${whole % 60} ${whole % 60 === 1 ? "second" : "seconds"}`;
  return minutes ? `${minutes} ${minutes === 1 ? "minute" : "minutes"} ${rest}` : rest;
}

/** What is left of a job, in words that do not promise seconds. */
export function timeLeft(seconds: number): string {
  if (seconds < 5) return "a few seconds left";
  if (seconds < 60) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  if (seconds < 3600) return `about ${Math.ceil(seconds / 60)} min left`;
  return `about ${(seconds / 3600).toFixed(1)} h left`;
}

/** 48,300,000 -> "48 MB". Decimal units, as disks and downloads have them. */
export function bytes(count: number): string {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]] as const) {
    if (count >= size) return `${(count / size).toFixed(count < 10 * size ? 1 : 0)} ${unit}`;
  }
  return `${count} bytes`;
}

/** "+1.5 dB", "−3 dB", "silent". */
export function decibels(db: number, silentAt: number): string {
  if (db <= silentAt) return "silent";
  const digits = Number.isInteger(db) ? 0 : 1;
  return `${signed(db, digits)} dB`;
}

/** "+2", "−2", "0". */
export function signed(value: number, digits = 0): string {
  const sign = value > 0 ? "+" : value < 0 ? "−" : "";
  return sign + Math.abs(value).toFixed(digits);
}

/** "left 40 %", "centre", "right 100 %". */
export function panned(pan: number): string {
  const percent = Math.round(Math.abs(pan) * 100);
  return percent === 0 ? "centre" : `${pan < 0 ? "left" : "right"} ${percent} %`;
}

/** "two_stems" -> "Two stems". */
export function title(name: string): string {
  const words = name.replace(/[_-]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** "1 song", "2 songs". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
