import { defineConfig } from "vitest/config";

/** Where to write the counts for scripts, beside what is printed for people. */
const report = process.env.MLC_CONVERT_TEST_REPORT;

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    reporters: report ? ["default", ["json", { outputFile: report }]] : ["default"],
  },
});
