import { createRequire } from "node:module";
import { KernelError } from "../core/errors.ts";
import { PACKAGE_ROOT } from "../core/package-root.ts";

/** A set of kernels and whether it can run on this machine. */
export interface BackendInfo {
  readonly name: string;
  readonly available: boolean;
  /** Why not, when it is not available. */
  readonly reason?: string;
}

/** A GPU to compute on, through the CUDA library. */
export interface JobDevice {
  /** As `--device` takes it: `cuda:0`. */
  readonly name: string;
  /** Absolute path of the CUDA library. */
  readonly library: string;
  readonly index: number;
  /** The run fails when the GPU fails in the middle; else the backend goes on. */
  readonly required: boolean;
}

/** Options of a native run. Paths are absolute. */
export interface JobOptions {
  readonly sources: readonly { readonly path: string; readonly size: number }[];
  readonly backend: string;
  readonly threads: number;
  /** Shards in flight. */
  readonly lanes: number;
  /** As many of them make a chunk while another is hashed. */
  readonly ahead: number;
  /** Output bytes that are made at once. */
  readonly tileBytes: number;
  /** Memory for scales that are made with their words and stored behind them. */
  readonly keptBytes: number;
  /** Make every finished file durable before it is reported. */
  readonly sync: boolean;
  /** Map source files; false: read them in pieces. */
  readonly map: boolean;
  /** Computes what it can; the backend does the rest. Default: none. */
  readonly device?: JobDevice;
}

/** One shard for a native run. An empty path: the bytes are only hashed. */
export interface JobShard {
  readonly id: number;
  readonly path: string;
  readonly fileOffset: number;
  readonly truncate: boolean;
  readonly nbytes: number;
  /** Compare what is made with what it is made from. */
  readonly measured: boolean;
  /** What the bytes are made of, as numbers; copied before the call returns. */
  readonly program: Float64Array;
}

/** Nanoseconds summed over threads; `bytes` is what has been made so far. */
export interface JobProgress {
  readonly bytes: number;
  readonly compute: number;
  readonly hash: number;
  readonly write: number;
  readonly sync: number;
}

/** A run on the addon's own threads. */
export interface NativeJob {
  /** Shards are begun in the order in which they are added. */
  addShard(shard: JobShard): void;
  /**
   * Resolves when all shards are finished; rejects with an Error that has a `code`. `statistics` holds
   * {@link STATISTICS} numbers a piece of a measured shard.
   */
  start(onShard: (id: number, md5: string, statistics: Float64Array) => void): Promise<void>;
  cancel(): void;
  progress(): JobProgress;
  /** Why the GPU failed in the middle, if it did; complete once `start` is settled. */
  deviceFailure(): string | undefined;
}

/** Numbers of cpp/kernels/kernels.h `Statistics`. */
export const STATISTICS = 8;

/** Of cpp/engine/decode-program.h `kProgramFormat`. */
const PROGRAM_FORMAT = 2;

interface Addon {
  readonly programFormat: number;
  readonly Job: new (options: JobOptions) => NativeJob;
  listBackends(): readonly BackendInfo[];
  /** Throws an Error with the reason where the library cannot be opened or finds no driver. */
  listCudaDevices(library: string): readonly {
    readonly name: string;
    readonly memoryBytes: number;
    readonly computeCapability: string;
    readonly reason?: string;
  }[];
}

let loaded: Addon | undefined;

/**
 * Loads the addon: a local build, else the prebuilt binary of this platform.
 * @throws {KernelError} `E_ADDON` with what was found, what is required and what to do
 */
export function loadAddon(): Addon {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  try {
    const load = require("node-gyp-build") as (root: string) => Addon;
    const addon = load(PACKAGE_ROOT);
    if (addon.programFormat !== PROGRAM_FORMAT) throw new Error("it was built for another version");
    loaded = addon;
    return addon;
  } catch (error) {
    const { platform, arch, version } = process;
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new KernelError(
      "E_ADDON",
      `the native addon could not be loaded: found ${platform}-${arch}, Node ${version} (${reason}); ` +
        "required is a prebuilt binary for linux (glibc or musl), macOS or Windows on x64 or arm64, and Node 20 or later",
      {
        cause: error,
        hint: "reinstall the package for this platform; in a clone of the repository run `npm run build`",
      },
    );
  }
}

/** All backends this build knows, best first; the reference is last and always runs. */
export function listBackends(): readonly BackendInfo[] {
  return loadAddon().listBackends();
}

/**
 * Picks a backend by name, or the best one for `"auto"`.
 * @throws {KernelError} `E_BACKEND`, listing those that can run
 */
export function chooseBackend(name: string): string {
  const backends = listBackends();
  const usable = backends.filter(({ available }) => available).map((backend) => backend.name);
  if (name === "auto") return usable[0] as string;
  if (usable.includes(name)) return name;
  const known = backends.find((backend) => backend.name === name);
  const why = known ? (known.reason ?? "it cannot run here") : "there is no such backend";
  throw new KernelError("E_BACKEND", `backend "${name}": ${why}`, {
    hint: `choose auto or one of ${usable.join(", ")}`,
  });
}

/**
 * Creates a run. Source files are opened and mapped now.
 * @throws {Error} with a `code` of docs/errors.md where a source cannot be opened or has changed
 */
export function createJob(options: JobOptions): NativeJob {
  const { Job } = loadAddon();
  return new Job(options);
}
