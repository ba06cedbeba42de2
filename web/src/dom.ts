/** Elements without a framework. */

type Child = Node | string | null | undefined | false;
type Value = string | number | boolean | null | undefined | ((event: never) => unknown);

/**
 * Make an element. A function is a listener for the event of its name ("click"), true and false set or leave out an
 * attribute, everything else is its text.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else if (value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  append(element, ...children);
  return element;
}

export function append(parent: Element, ...children: Child[]): void {
  parent.append(...children.filter((child): child is Node | string => Boolean(child)));
}

const SVG = "http://www.w3.org/2000/svg";

/** A line drawing of 24 by 24, for buttons that have their name in words. */
export function icon(path: string): SVGSVGElement {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  picture.setAttribute("class", "icon");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  picture.append(line);
  return picture;
}

export const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M8 5v14M16 5v14",
  start: "M6 5v14M19 5 9 12l10 7z",
  loop: "M17 2l4 4-4 4M3 11V9a3 3 0 0 1 3-3h15M7 22l-4-4 4-4M21 13v2a3 3 0 0 1-3 3H3",
  download: "M12 3v12M7 11l5 5 5-5M4 20h16",
  close: "M6 6l12 12M18 6 6 18",
  back: "M15 5l-7 7 7 7",
  upload: "M12 16V4M7 9l5-5 5 5M4 20h16",
  reset: "M4 4v6h6M4.500 15a8 8 0 1 0 1.500-9L4 10",
};

/** Put text into an element, and leave it alone when it is there already: screen readers speak what changes. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Tell something to those who do not see the page. */
export function announce(text: string): void {
  const announcer = document.getElementById("announcer");
  if (announcer) announcer.textContent = announcer.textContent === text ? `${text} ` : text;
}

/** Let the browser save a file under a name. */
export function save(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser has begun to write by then
}
