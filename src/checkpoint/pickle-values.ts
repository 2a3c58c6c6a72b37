/** What a pickle of a state dict can hold. Nothing here runs code: classes and functions are names. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleTuple
  | PickleList
  | PickleDict
  | PickleGlobal
  | PickleObject;

/** An immutable sequence. */
export class PickleTuple {
  readonly items: readonly PickleValue[];
  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

/** A list. */
export class PickleList {
  readonly items: PickleValue[] = [];
}

/** A dictionary, ordered or not: insertion order is kept. */
export class PickleDict {
  readonly entries: Map<PickleValue, PickleValue> = new Map();
}

/** `module.name`, as a name. */
export class PickleGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** What the reader of the pickle made of a call: a tensor, a storage, or something harmless and opaque. */
export abstract class PickleObject {
  abstract readonly kind: string;
}
