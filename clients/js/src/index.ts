export * from "./client.js";
export type { ConnectionOptions, TokenProvider } from "./connection.js";
export { StemwrightError } from "./errors.js";
