/** Evaluates the small expression language of test/golden/architectures/architectures.json. */
export type Scope = ReadonlyMap<string, unknown>;

const TOKEN = /\s*(\*\*|\/\/|==|!=|>=|<=|[-+*%()[\].,<>]|'[^']*'|\d+|[A-Za-z_]\w*)/y;

function tokenize(text: string): readonly string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match?.[1] === undefined) throw new Error(`cannot read ${text} at ${at}`);
    tokens.push(match[1]);
  }
  return tokens;
}

/** The value of an expression; throws where it names something that the scope lacks. */
export function evaluate(text: string, scope: Scope): unknown {
  const reader = new Reader(tokenize(text), scope);
  const value = reader.choice();
  reader.end();
  return value;
}

class Reader {
  private at = 0;
  private readonly tokens: readonly string[];
  private readonly scope: Scope;

  constructor(tokens: readonly string[], scope: Scope) {
    this.tokens = tokens;
    this.scope = scope;
  }

  end(): void {
    if (this.at < this.tokens.length) throw new Error(`unexpected ${this.tokens[this.at]}`);
  }

  choice(): unknown {
    const value = this.either();
    if (!this.take("if")) return value;
    const condition = this.either();
    this.need("else");
    const other = this.choice();
    return condition ? value : other;
  }

  private either(): unknown {
    let value = this.both();
    while (this.take("or")) {
      const right = this.both();
      value = truth(value) || truth(right);
    }
    return value;
  }

  private both(): unknown {
    let value = this.negation();
    while (this.take("and")) {
      const right = this.negation();
      value = truth(value) && truth(right);
    }
    return value;
  }

  private negation(): unknown {
    return this.take("not") ? !truth(this.negation()) : this.comparison();
  }

  private comparison(): unknown {
    const left = this.sum();
    if (this.take("is")) {
      const negated = this.take("not");
      return (left === this.sum()) !== negated;
    }
    if (this.take("in")) {
      const container = this.sum();
      return typeof container === "object" && container !== null && String(left) in container;
    }
    if (this.take("==")) return left === this.sum();
    if (this.take("!=")) return left !== this.sum();
    if (this.take(">=")) return Number(left) >= Number(this.sum());
    if (this.take(">")) return Number(left) > Number(this.sum());
    return left;
  }

  private sum(): unknown {
    let value = this.product();
    for (;;) {
      if (this.take("+")) value = Number(value) + Number(this.product());
      else if (this.take("-")) value = Number(value) - Number(this.product());
      else return value;
    }
  }

  private product(): unknown {
    let value = this.power();
    for (;;) {
      if (this.take("*")) value = Number(value) * Number(this.power());
      else if (this.take("//")) value = Math.floor(Number(value) / Number(this.power()));
      else if (this.take("%")) value = Number(value) % Number(this.power());
      else return value;
    }
  }

  private power(): unknown {
    const value = this.member();
    return this.take("**") ? Number(value) ** Number(this.power()) : value;
  }

  private member(): unknown {
    let value = this.atom();
    for (;;) {
      if (this.take(".")) value = property(value, this.next());
      else if (this.take("[")) {
        value = property(value, String(this.choice()));
        this.need("]");
      } else return value;
    }
  }

  private atom(): unknown {
    const token = this.next();
    if (token === "(") {
      const value = this.choice();
      this.need(")");
      return value;
    }
    if (/^\d/.test(token)) return Number(token);
    if (token.startsWith("'")) return token.slice(1, -1);
    if (token === "None") return null;
    if (token === "True" || token === "False") return token === "True";
    return this.named(token);
  }

  private named(name: string): unknown {
    if (name === "layer_types") return this.layerTypes();
    if (name === "getattr") return this.attribute();
    if (!this.scope.has(name)) throw new Error(`${name} is not defined`);
    return this.scope.get(name);
  }

  private layerTypes(): readonly string[] {
    this.need("(");
    this.need(")");
    const interval = Number(this.scope.get("full_attention_interval"));
    const count = Number(this.scope.get("L"));
    return Array.from({ length: count }, (_, i) =>
      (i + 1) % interval === 0 ? "full_attention" : "linear_attention",
    );
  }

  private attribute(): unknown {
    this.need("(");
    const of = this.choice();
    this.need(",");
    const name = String(this.choice());
    this.need(",");
    const fallback = this.choice();
    this.need(")");
    return typeof of === "object" && of !== null && name in of ? property(of, name) : fallback;
  }

  private next(): string {
    const token = this.tokens[this.at++];
    if (token === undefined) throw new Error("unexpected end");
    return token;
  }

  private take(token: string): boolean {
    if (this.tokens[this.at] !== token) return false;
    this.at++;
    return true;
  }

  private need(token: string): void {
    if (!this.take(token)) throw new Error(`expected ${token}, found ${this.tokens[this.at]}`);
  }
}

const truth = (value: unknown): boolean => Boolean(value);

function property(of: unknown, name: string): unknown {
  if (typeof of === "object" && of !== null && name in of) return (of as Record<string, unknown>)[name];
  throw new Error(`no ${name}`);
}
