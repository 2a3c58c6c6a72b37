// Writes docs/models.md from the built package.
import { writeFileSync } from "node:fs";
import { modelsPage, supportMatrix } from "../dist/plan/support-matrix.js";

writeFileSync(new URL("../docs/models.md", import.meta.url), modelsPage(await supportMatrix()));
