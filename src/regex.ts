/**
 * Regular expressions that operators write, matched in time proportional to the text, whoever wrote the text: RE2's
 * syntax and automata (https://github.com/google/re2/wiki/Syntax), without backtracking. JavaScript's own engine can
 * take exponential time, which would stop a prober's thread. Used by the loader and by checks.
 */
import { RE2JS, RE2JSException } from 're2js'

/** A compiled expression. */
export interface Regex {
  /** Whether it matches somewhere in the first REGEX_BYTES of a text in UTF-8. */
  readonly matches: (text: Buffer) => boolean
}

const CHARACTERS_MOST = 255
/**
 * Instructions of the automaton, for a match costs their number times the text's length, at worst some 70 ns each. They
 * are about as many as the expression's characters; `a{1,50}` has 100.
 */
const INSTRUCTIONS_MOST = 100
/** The most of a text that is looked at, in bytes: with the above, 0.1 s at worst, and below a millisecond as a rule. */
export const REGEX_BYTES = 16_384
/** Expressions that are kept compiled: they come from the zones, so they are few. */
const KEPT_MOST = 1000
const kept = new Map<string, Regex | string>()

/** The expression, or why it is refused. */
export function compileRegex(source: string): Regex | string {
  let compiled = kept.get(source)
  if (compiled === undefined) {
    if (kept.size >= KEPT_MOST) kept.clear()
    compiled = compile(source)
    kept.set(source, compiled)
  }
  return compiled
}

function compile(source: string): Regex | string {
  if (source.length > CHARACTERS_MOST) return `it has more than ${CHARACTERS_MOST} characters`
  try {
    const regex = RE2JS.compile(source)
    if (regex.programSize() > INSTRUCTIONS_MOST) return 'it is too large: fewer repetitions would do'
    return { matches: (text) => regex.test(text.toString('utf8', 0, REGEX_BYTES)) }
  } catch (error) {
    if (error instanceof RE2JSException) return error.message
    throw error
  }
}
