import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` asks a server that runs beside it; `npm run build` writes into the Python package.
const server = process.env["DXRAY_API_URL"] ?? "http://127.0.0.1:8000";
const calls =
  "^/(runs|steps|items|pipelines|diff|explain|whatif|flip|blame|stability|rules|views|times|fields|healthz)";

export default defineConfig({
  base: "/ui/",
  plugins: [react()],
  html: { cspNonce: "{{nonce}}" },
  build: {
    outDir: "../src/dxray/server/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { [calls]: { target: server, changeOrigin: true } } },
  test: { environment: "happy-dom", include: ["tests/**/*.test.ts"] },
});
