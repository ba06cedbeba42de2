import { describe, expect, it } from "vitest";
import { ApiError, form, passing, zipUrl } from "../src/net/api";
import { type Job, settled, type State, unlisted } from "../src/net/types";
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
  const options = { model: "pocket", format: "flac", stems: "all", shifts: "", overlap: "" };
  const fields = (changes: object) => Object.fromEntries(form("https://a/b.mp3", { ...options, ...changes }));
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
  expect([zipUrl("a b"), zipUrl("a", ["vocals", "a,b"])]).toEqual(["/api/download/a%20b?name=song", "/api/download/a?name=song&stems=vocals,a%2Cb"]);
});

describe("an answer about a job", () => {
  const job = (status: State, progress: number): Job => ({ job_id: "j", created_at: "2026-01-01T10:00:00Z", status, progress });
  const asked = job("processing", 20);
  it("is believed when nothing was heard meanwhile, also when it is behind: another attempt may have begun", () => {
    expect(settled(job("processing", 5), asked, asked).progress).toBe(5);
    expect(settled(asked, undefined, undefined)).toBe(asked);
  });
  it("does not take back what an event said meanwhile", () => {
    expect(settled(job("processing", 30), asked, job("processing", 40)).progress).toBe(40);
    expect(settled(job("processing", 50), asked, job("processing", 40)).progress).toBe(50);
    expect(settled(job("completed", 100), asked, job("processing", 40)).status).toBe("completed");
    expect(settled(job("processing", 99), asked, job("completed", 100)).status).toBe("completed");
  });
});

describe("after a look at the list", () => {
  const job = (id: string, day: number, status: State = "completed"): Job => ({ job_id: id, status, progress: 0, created_at: `2026-01-0${day}` });
  const listed = [job("d", 5), job("c", 3)];
  it("a full list says nothing of what is older than it", () => {
    expect(unlisted([job("a", 1), ...listed], listed, 2)).toEqual([]);
  });
  it("what belongs into it and is not there is asked for", () => {
    expect(unlisted([job("a", 1), job("b", 4), ...listed], listed, 2)).toEqual(["b"]);
    expect(unlisted([job("a", 1), job("b", 4), ...listed], listed, 3)).toEqual(["a", "b"]);
    expect(unlisted([job("a", 1)], [])).toEqual(["a"]);
  });
  it("what goes on is asked for, however old", () => {
    expect(unlisted([job("a", 1, "processing"), job("b", 1, "queued"), job("c", 3)], listed, 2)).toEqual(["a", "b"]);
  });
});
