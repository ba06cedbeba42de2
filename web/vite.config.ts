import { defineConfig } from "vite";

// The built page is committed inside the server package, so that neither a user nor a fresh clone needs Node.
export default defineConfig({
  base: "/",
  build: {
    outDir: "../server/src/stemwright_server/web",
    emptyOutDir: true,
    target: ["chrome111", "firefox113", "safari16.4"],
    assetsInlineLimit: 0, // the content security policy allows no data: URLs
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8080", "/blobs": "http://127.0.0.1:8080", "/socket.io": { target: "ws://127.0.0.1:8080", ws: true } } },
});
