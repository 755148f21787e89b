/**
 * Colours for a finished text of `status`: the capitals that it has for what is wrong, and its lines with `!`. Foreign
 * text must have gone through printable() before. ECMA-48 §8.3.117 (SGR).
 */

const BOLD = 1
const RED = 31
const GREEN = 32
const YELLOW = 33

const BAD = /\b(?:DOWN|FORCED|NOT READY|LAST RESORT|FAILED|REFUSED|TROUBLE|FAULT|LAST GOOD|NO CLIENT HAS A PLACE)\b/g
const ODD = /\b(?:BRAKED?|HELD(?: UP| BACK)?|SILENT|ORPHANED|DRAINED|UNPROVEN|RECOVERED|FROZEN|OVERDUE|OTHER)\b/g

const paint = (code: number, text: string): string => `\u001B[${code}m${text}\u001B[0m`

/** The text with colours. */
export const coloured = (text: string): string => text.split('\n').map(colouredLine).join('\n')

const colouredLine = (line: string, i: number): string =>
  line
    .replace(BAD, (word) => paint(RED, word))
    .replace(ODD, (word) => paint(YELLOW, word))
    .replace(/^! /, paint(BOLD, '! '))
    .replace(/^(\S+ {2})(ready)\b/, (_, name: string, word: string) => name + (i === 0 ? paint(GREEN, word) : word))
