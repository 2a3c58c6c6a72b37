const HUB_NAME = /^[\w-][\w.-]*\/[\w.-]+$/;

/**
 * What to say of a path that exists and could also name a model of the hub: the path wins.
 * @param typed as the user typed it
 */
export function localPathNotices(typed: string): readonly string[] {
  return HUB_NAME.test(typed) ? [`${typed} is a local path; write HF://${typed} for the hub's model.`] : [];
}
