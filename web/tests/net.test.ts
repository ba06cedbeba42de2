import { describe, expect, it } from "vitest";
import { ApiError, form, passing, zipUrl } from "../src/net/api";
import { forStatus, inWords, sentence } from "../src/net/words";

describe("an error", () => {
  it.each([
    [{ detail: "Too long." }, "Too long."],
    [{ error: "bad_file", detail: "It is cut off." }, "It is cut off."],
    [{ error: { code: "x", message: "No audio." } }, "No audio."],
    [{ error_message: "Out of memory." }, "Out of memory."],
    [{ error: "" }, null],
    [[1], null],
    [null, null],
  ])("in %j is %j", (body, words) => {
    expect(sentence(body)).toBe(words);
  });
  it("without words gets some, by its status", () => {
    for (const status of [0, 401, 404, 413, 418, 429, 500, 507]) expect(forStatus(status)).toMatch(/\.$/);
    expect(inWords(undefined)).toMatch(/Reload/);
  });
});

describe("a failure", () => {
  it.each([[0, true], [401, true], [429, true], [503, true], [507, true], [400, false], [404, false], [413, false]])("of status %d may pass: %s", (status, may) => {
    expect(passing(new ApiError("", status))).toBe(may);
  });
  it("of the page itself does not", () => {
    expect(passing(new TypeError("x is undefined"))).toBe(false);
  });
});

describe("an upload", () => {
  const wish = { model: "pocket", format: "flac", stems: "all", shifts: "", overlap: "" };
  const fields = (changes: object) => Object.fromEntries(form("https://a/b.mp3", { ...wish, ...changes }));
  it("names what was chosen and nothing else", () => {
    expect(fields({})).toEqual({ model: "pocket", format: "flac", source_url: "https://a/b.mp3" });
  });
  it("asks for one stem, or for two", () => {
    expect(fields({ stems: "drums" })).toMatchObject({ stems: "drums" });
    expect(fields({ stems: "two:vocals", shifts: "2" })).toMatchObject({ two_stems: "vocals", shifts: "2" });
    expect(fields({ stems: "two:vocals" })).not.toHaveProperty("stems");
  });
});

it("a zip is of all stems, or of some", () => {
  expect([zipUrl("a b"), zipUrl("a", ["vocals", "a,b"])]).toEqual(["/api/download/a%20b", "/api/download/a?stems=vocals,a%2Cb"]);
});
