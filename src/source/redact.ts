/**
 * An address without query, fragment and user: signed addresses carry their secret in the query.
 * Everything that is logged, thrown or written to disk goes through here.
 */
export function redactUrl(url: string): string {
  if (!URL.canParse(url)) return url.replace(/[?#].*$/s, "");
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

/** A text of unknown origin with every address in it redacted and tokens masked. */
export function redactText(text: string): string {
  return text
    .replace(/https?:\/\/[^\s"'<>]+/g, (url) => redactUrl(url))
    .replace(/\bhf_[A-Za-z0-9]{4,}/g, "hf_…")
    .replace(/(bearer\s+)\S+/gi, "$1…");
}
