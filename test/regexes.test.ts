/**
 * Every regular expression of src takes time in proportion to its text, whoever wrote that text. Decided on the expression itself:
 * its Glushkov automaton, with a loop over any character before it for the places where a search begins, reads no text in more
 * ways than a constant. Whatever may fail is taken to fail; where a match can't fail any more nothing is tried again.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type AST, RegExpParser } from '@eslint-community/regexpp'
import { parseAst } from 'rolldown/parseAst'
import { expect, test } from 'vitest'

/** Characters that stand for all: ASCII, and of others a letter, a space, a line separator, a control, wide and paired ones. */
const ALPHABET = [...Array(128).keys(), 0xa0, 0xe9, 0x200b, 0x2028, 0x4e2d, 0x1f600].map((code) =>
  String.fromCodePoint(code),
)
const ANY = (1n << BigInt(ALPHABET.length)) - 1n

interface First {
  readonly position: number
  /** Behind a `^`. */
  readonly atStart: boolean
}

interface Last {
  readonly position: number
  /** Nothing that may fail stands between it and the end of the match. */
  readonly plain: boolean
}

/** A part of the expression. */
interface Part {
  /** More than once where there is more than one way. */
  readonly first: readonly First[]
  readonly last: readonly Last[]
  readonly nullable: boolean
  /** What it matches without reading, it matches at the start alone. */
  readonly atStart: boolean
  /** It may fail without reading. */
  readonly fails: boolean
}

const EMPTY: Part = { first: [], last: [], nullable: true, atStart: false, fails: false }

class Automaton {
  /** By position, the characters it reads; 0 reads all, before the match. */
  readonly reads: bigint[] = [ANY]
  /** By position, those that may be read next, and in how many ways. */
  readonly next: Map<number, number>[] = [new Map([[0, 1]])]
  readonly accepting: ReadonlySet<number>
  readonly #flags: string

  constructor(source: string, flags: string) {
    this.#flags = flags
    const unicode = flags.includes('u')
    const pattern = new RegExpParser().parsePattern(source, 0, source.length, { unicode })
    const whole = this.#either(pattern.alternatives, false)
    for (const { position, atStart } of whole.first) if (!atStart) this.#join(0, position)
    this.accepting = new Set(whole.last.filter(({ plain }) => plain).map(({ position }) => position))
  }

  #join(from: number, to: number): void {
    this.next[from]!.set(to, (this.next[from]!.get(to) ?? 0) + 1)
  }

  #either(alternatives: readonly AST.Alternative[], looped: boolean): Part {
    const parts = alternatives.map(({ elements }) =>
      elements.map((element) => this.#element(element, looped)).reduce((a, b) => this.#then(a, b), EMPTY),
    )
    const nullable = parts.filter((part) => part.nullable)
    return {
      first: parts.flatMap(({ first }) => first),
      last: parts.flatMap(({ last }) => last),
      nullable: nullable.length > 0,
      atStart: nullable.length > 0 && nullable.every(({ atStart }) => atStart),
      fails: nullable.some(({ fails }) => fails),
    }
  }

  #then(a: Part, b: Part): Part {
    for (const { position } of a.last) {
      for (const { position: to, atStart } of b.first) if (!atStart) this.#join(position, to)
    }
    const entered = b.first.map((one) => ({ ...one, atStart: one.atStart || a.atStart }))
    const left = a.last.map((one) => ({ ...one, plain: one.plain && !b.fails }))
    return {
      first: a.nullable ? [...a.first, ...entered] : a.first,
      last: b.nullable ? [...left, ...b.last] : b.last,
      nullable: a.nullable && b.nullable,
      atStart: a.atStart || b.atStart,
      fails: a.fails || b.fails,
    }
  }

  #element(element: AST.Element, looped: boolean): Part {
    switch (element.type) {
      case 'Character':
      case 'CharacterSet':
      case 'CharacterClass':
        return this.#reading(element.raw)
      case 'Group':
      case 'CapturingGroup':
        return this.#either(element.alternatives, looped)
      case 'Quantifier':
        return this.#repeated(element, looped)
      case 'Assertion':
        if (element.kind === 'lookahead' || element.kind === 'lookbehind') break
        if (element.kind === 'start' && !this.#flags.includes('m')) return { ...EMPTY, atStart: true, fails: true }
        return { ...EMPTY, fails: true }
      case 'Backreference':
      case 'ExpressionCharacterClass':
      default:
        break
    }
    throw new Error(`${element.raw} is more than this can decide: write it without`)
  }

  #reading(raw: string): Part {
    const form = new RegExp(`^${raw}$`, this.#flags.replaceAll(/[gm]/g, ''))
    const read = ALPHABET.reduce((set, character, i) => (form.test(character) ? set | (1n << BigInt(i)) : set), 0n)
    const position = this.reads.push(read) - 1
    this.next.push(new Map())
    return { first: [{ position, atStart: false }], last: [{ position, plain: true }], ...NEVER_EMPTY }
  }

  /** Counts below a loop count; elsewhere one or two of them show as much as a hundred. */
  #repeated({ element, min, max }: AST.Quantifier, looped: boolean): Part {
    const isLoop = max === Infinity
    const least = looped ? min : Math.min(min, 1)
    const most = looped ? max : Math.min(max, 2)
    if (!isLoop && most > 16) throw new Error(`${element.raw}{${min},${max}} in a loop is more than this can decide`)
    let whole = EMPTY
    for (let i = 0; i < (isLoop ? Math.max(1, least) : most); i++) {
      const one = this.#element(element, looped || isLoop)
      const isLast = isLoop && i === Math.max(1, least) - 1
      if (isLast)
        for (const { position } of one.last) for (const { position: to } of one.first) this.#join(position, to)
      whole = this.#then(whole, i < least ? one : { ...one, nullable: true })
    }
    return whole
  }
}

const NEVER_EMPTY = { nullable: false, atStart: false, fails: false }

type Tuple = readonly number[]

/** What positions can read together, one step on; `may`: where each of them may be. */
function stepsFrom({ reads, next }: Automaton, at: Tuple, may: readonly (ReadonlySet<number> | undefined)[]): Tuple[] {
  let steps: { readonly to: Tuple; readonly read: bigint }[] = [{ to: [], read: ANY }]
  for (const [i, position] of at.entries()) {
    const targets = [...next[position]!.keys()].filter((to) => may[i]?.has(to) ?? true)
    steps = steps.flatMap(({ to, read }) =>
      targets.flatMap((one) => ((read & reads[one]!) === 0n ? [] : [{ to: [...to, one], read: read & reads[one]! }])),
    )
  }
  return steps.map(({ to }) => to)
}

/** All that several positions can come to when they read the same text; without where they are, unless they come back. */
function reachable(
  automaton: Automaton,
  from: Tuple,
  ...may: readonly (ReadonlySet<number> | undefined)[]
): Set<string> {
  const seen = new Set<string>()
  const waiting = [from]
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    for (const to of stepsFrom(automaton, at, may)) if (seen.size < seen.add(to.join()).size) waiting.push(to)
  }
  return seen
}

/** Why some text takes more than linear time; undefined: none does. */
function trouble(source: string, flags: string): string | undefined {
  const automaton = new Automaton(source, flags)
  const { next, accepting } = automaton
  const after = next.map((_, p) => new Set([...reachable(automaton, [p])].map(Number)))
  const isLooped = (p: number): boolean => !accepting.has(p) && after[p]!.has(p)
  const loops = [...after.keys()].filter(isLooped)
  /** Those that go round with p. */
  const around = after.map((reached, p) => new Set([...reached].filter((one) => after[one]!.has(p))))
  for (const p of loops) {
    const ring = around[p]!
    if ([...next[p]!].some(([to, ways]) => ways > 1 && ring.has(to))) return 'a loop in a loop'
    // apart, and together again at p
    const apart = [...reachable(automaton, [p, p], ring, ring)].map((pair) => pair.split(',').map(Number))
    const isAmbiguous = apart.some(([a, b]) => a !== b && reachable(automaton, [a!, b!], ring, ring).has(`${p},${p}`))
    if (isAmbiguous) return 'two ways round a loop'
    for (const q of loops) {
      if (p === q || !after[p]!.has(q)) continue
      const isShared = reachable(automaton, [p, p, q], ring, undefined, around[q]).has(`${p},${q},${q}`)
      if (isShared) return p === 0 ? 'a loop that each place of a search begins' : 'two loops that read the same'
    }
  }
  return undefined
}

test.each([
  String.raw`(\\*)\.$`,
  String.raw`^(a+)+$`,
  String.raw`^(a*)*$`,
  String.raw`^a*a*$`,
  String.raw`^\s*(.*?)\s*$`,
  String.raw`a*b`,
  String.raw`(x+x+)y`,
  String.raw`^(?:a|ab|b)*c$`,
  String.raw`^(\d+,?)+$`,
  String.raw`^(?:a{2}|a{3})+$`,
  String.raw`^(.+)-(.+)$`,
  String.raw`Last error: (.*)$`,
])('/%s/ is found out', (source) => {
  expect(trouble(source, '')).toBeDefined()
})

test.each([
  [String.raw`^"(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*$`, 's'],
  [String.raw`\s+`, 'g'],
  [String.raw`:\d*$`, ''],
  [String.raw`^(\d+(\.\d+)?(ms|s|m|h|d))+$`, ''],
  [String.raw`~$|^#.*#$`, ''],
  [String.raw`^(?:[0-9a-f]{2})+$`, 'i'],
  [String.raw`^\d{1,10}\d*$`, ''],
])('/%s/%s is linear', (source, flags) => {
  expect(trouble(source, flags)).toBeUndefined()
})

/** What is looked at of a node of the syntax tree. */
interface Literal {
  readonly start?: number
  readonly callee?: { readonly name?: string }
  readonly regex?: { readonly pattern: string; readonly flags: string }
}

/** As they stand in src: `file:line /source/flags`. */
function* literals(): Generator<{ readonly place: string; readonly source: string; readonly flags: string }> {
  const src = resolve(import.meta.dirname, '../src')
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue
    const text = readFileSync(join(src, file), 'utf8')
    const waiting: unknown[] = [parseAst(text, { lang: 'ts' }, file)]
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (typeof node !== 'object' || node === null) continue
      waiting.push(...Object.values(node).filter((part) => part !== undefined))
      const { callee, regex, start } = node as Literal
      const isMade = callee?.name === 'RegExp'
      if (regex === undefined && !isMade) continue
      const place = `${file}:${text.slice(0, start).split('\n').length}`
      if (isMade) throw new Error(`${place}: an expression that is made while running cannot be decided here`)
      yield { place, source: regex!.pattern, flags: regex!.flags }
    }
  }
}

test('all of src are linear', () => {
  const found = [...literals()]
  expect(found.length).toBeGreaterThan(100)
  const bad = found.flatMap(({ place, source, flags }) => {
    const why = trouble(source, flags)
    return why === undefined ? [] : [`${place} /${source}/${flags}: ${why}`]
  })
  expect(bad).toEqual([])
})
