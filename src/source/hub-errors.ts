import { SourceError } from "../core/errors.ts";
import type { HttpReply } from "./http.ts";
import { redactText, redactUrl } from "./redact.ts";
import { askedWaitMs, isTemporaryStatus, TemporaryFailure } from "./retry.ts";

/** What was asked when the hub refused. */
export interface HubQuestion {
  readonly repo: string;
  readonly revision: string;
  /** A path inside the repository, where one was asked for. */
  readonly file?: string;
  readonly url: string;
  /** Whether a token went along. */
  readonly token: boolean;
  readonly endpoint: string;
}

/** The error for a refused request: temporary ones as {@link TemporaryFailure} (formats.md §12.5). */
export function explainStatus(
  reply: HttpReply,
  asked: HubQuestion,
  now: number,
): SourceError | TemporaryFailure {
  const { status } = reply;
  if (status === 429) {
    const waitMs = askedWaitMs(reply, now);
    return new TemporaryFailure(rateLimited(asked, waitMs), { waitMs, refused: true });
  }
  if (isTemporaryStatus(status)) {
    const waitMs = askedWaitMs(reply, now);
    return new TemporaryFailure(serverTrouble(status, asked), { waitMs, refused: status === 503 });
  }
  return explainRefusal(status, reply, asked);
}

/** The error for a request that brought no answer at all. */
export function explainNoAnswer(error: unknown, url: string): TemporaryFailure {
  const reason = reasonOf(error);
  return new TemporaryFailure(
    new SourceError("E_HUB_UNREACHABLE", `no answer from ${new URL(url).host}: ${reason}`, {
      hint: "Check the network and proxy, or use --local-files-only with a model that is cached.",
      cause: new Error(reason),
    }),
  );
}

/** True for errors that say the hub could not be asked, so that a cached copy may stand in. */
export function isHubTrouble(error: unknown): error is SourceError {
  const codes = ["E_HUB_UNREACHABLE", "E_HUB_TROUBLE", "E_HUB_RATE_LIMIT"];
  return error instanceof SourceError && codes.includes(error.code);
}

function explainRefusal(status: number, reply: HttpReply, asked: HubQuestion): SourceError {
  const { repo, revision, file } = asked;
  const code = reply.header("x-error-code");
  const message = redactText(reply.header("x-error-message") ?? "");
  if (code === "GatedRepo") return gated(asked);
  if (code === "RevisionNotFound") {
    return new SourceError("E_HUB_NO_REVISION", `${repo} has no revision "${revision}"`, {
      hint: "Check the branch, tag or commit.",
    });
  }
  if (code === "EntryNotFound") {
    return new SourceError(
      "E_HUB_NO_FILE",
      `${repo} has no file ${file ?? redactUrl(asked.url)} at ${revision}`,
    );
  }
  if (/invalid credentials/i.test(message)) {
    return new SourceError("E_HUB_BAD_TOKEN", `${asked.endpoint} does not accept the token`, {
      hint: "The token is wrong or expired: make a new one, or pass no token for a public model.",
    });
  }
  if (/disabled/i.test(message)) {
    return new SourceError("E_HUB_DISABLED", `${repo} was disabled by the hub`);
  }
  if (status === 401 || status === 404) return notFound(status, asked);
  if (status === 403) {
    return new SourceError("E_HUB_FORBIDDEN", `the token has no permission to read ${repo}`, {
      hint: "Give the token read access to this repository, or accept the model's terms on its page.",
    });
  }
  const answer = message === "" ? "" : ` (${message})`;
  return new SourceError(
    "E_HUB_PROTOCOL",
    `unexpected answer ${status}${answer} from ${redactUrl(asked.url)}`,
  );
}

function gated({ repo, token, endpoint }: HubQuestion): SourceError {
  const step = token
    ? `Accept the terms on ${endpoint}/${repo} with the account the token belongs to`
    : `Accept the terms on ${endpoint}/${repo}, then pass a token (HF_TOKEN or --token)`;
  return new SourceError("E_HUB_GATED", `${repo} is gated: its owner wants its terms accepted first`, {
    hint: `${step}.`,
  });
}

function notFound(status: number, { repo, token }: HubQuestion): SourceError {
  const who = token ? "for this token" : "without a token";
  const message = `${repo} does not exist, or is private and not visible ${who} (${status})`;
  return new SourceError("E_HUB_NO_REPOSITORY", message, {
    hint: "Check the spelling; log in or pass a token if it is private; accept the terms if it is gated.",
  });
}

function rateLimited({ endpoint, token }: HubQuestion, waitMs: number | undefined): SourceError {
  const wait = waitMs === undefined ? "" : `; it asks to wait ${Math.ceil(waitMs / 1000)} s`;
  return new SourceError("E_HUB_RATE_LIMIT", `${endpoint} limits the number of requests${wait}`, {
    hint: token ? "Try again later." : "Try again later, or pass a token: limits are higher with one.",
  });
}

function serverTrouble(status: number, { url }: HubQuestion): SourceError {
  return new SourceError("E_HUB_TROUBLE", `${redactUrl(url)} answers ${status}`, {
    hint: "The server has a problem; try again later.",
  });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  const text = error.message || (inner instanceof Error ? inner.message : error.name);
  return redactText(text);
}
