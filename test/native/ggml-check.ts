import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("../..", import.meta.url));
const BUILD = fileURLToPath(new URL("../../build/ggml-check", import.meta.url));

/** Builds the program that runs the GGUF kernels without Node, and returns its path. */
export function buildGgmlCheck(): string {
  execFileSync("cmake", ["-S", SOURCE, "-B", BUILD, "-DCMAKE_BUILD_TYPE=Release", "-DMLC_ADDON=OFF"], {
    stdio: "pipe",
  });
  execFileSync("cmake", ["--build", BUILD, "--target", "ggml-check", "--parallel", "2"], { stdio: "pipe" });
  return `${BUILD}/ggml-check`;
}

/** A running check program: one request, one answer, in order. */
export class GgmlCheck {
  private readonly child: ChildProcess;
  private readonly waiting: ((line: string) => void)[] = [];

  constructor(program: string) {
    this.child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
    const { stdout } = this.child;
    if (!stdout) throw new Error("no pipe to the check program");
    createInterface({ input: stdout }).on("line", (line) => this.waiting.shift()?.(line));
  }

  private ask(request: string): Promise<string> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.child.stdin?.write(`${request}\n`);
    });
  }

  /** Whether this machine can run a backend. */
  async runs(backend: string): Promise<boolean> {
    return !(await this.ask(`${backend} quantize Q8_0`)).startsWith("error: backend");
  }

  /** The bytes of the result. Throws what the program reports. */
  async run(
    backend: string,
    action: "quantize" | "dequantize",
    { type, bytes }: { readonly type: string; readonly bytes: Uint8Array },
  ): Promise<Buffer> {
    const answer = await this.ask(`${backend} ${action} ${type} ${Buffer.from(bytes).toString("hex")}`);
    if (answer.startsWith("error")) throw new Error(answer);
    return Buffer.from(answer, "hex");
  }

  close(): void {
    this.child.stdin?.end();
  }
}
