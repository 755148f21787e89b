/**
 * Limits what one connection to Redis may deliver, before anything parses it. ioredis buffers whatever a server sends:
 * a message of 200 MB, or a hash of ten million fields. This filter reads only frame lengths (RESP2 and RESP3), passes
 * what is within limits unchanged, and replaces anything larger by an empty value, so that later replies still match
 * their commands. The work per value is constant; the memory is one line.
 *
 *   socket ─ chunks ─▶ ReplyLimit ─ chunks ─▶ ioredis' parser
 *
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
import { MOST_MESSAGE } from './text.ts'

/** Elements of a list or pairs of a map: far more than the targets and members that a World can have. */
const MOST_ELEMENTS = 300_000
/** Bytes of all values of one reply: 300,000 votes have 36 MB. */
const MOST_REPLY = 64 * 1024 * 1024
/** Characters of a frame's header line: its type and a length. */
const MOST_LINE = 32

const BULKS = '$=!'
const LISTS = '*~>'
const MAPS = '%'
const HEADERS: ReadonlySet<number> = new Set(Buffer.from(BULKS + LISTS + MAPS))
const LF = 10
const EMPTY_BULK = '$0\r\n\r\n'

/** Limits of one reply. */
export interface Limits {
  /** Bytes of one value. */
  readonly value: number
  readonly elements: number
  readonly reply: number
}

const LIMITS: Limits = { value: MOST_MESSAGE, elements: MOST_ELEMENTS, reply: MOST_REPLY }

/** The filter of one connection's replies. */
export class ReplyLimit {
  readonly #limits: Limits
  readonly #onDropped: (what: string) => void
  /** Elements that open lists still lack, the outermost first. */
  readonly #open: number[] = []
  /** How many of #open there were when what is being dropped began; undefined: nothing is. */
  #dropFrom: number | undefined
  /** Of the value that is being read, the line end behind it counted. */
  #left = 0
  #dropsValue = false
  /** The begin of a line whose end has not come yet. */
  #line = ''
  /** In a line that is a value itself, whatever its length. */
  #inText = false
  /** Bytes of values in the reply that is being read. */
  #taken = 0

  constructor(onDropped: (what: string) => void, limits: Limits = LIMITS) {
    this.#onDropped = onDropped
    this.#limits = limits
  }

  /** The parts of a chunk that are passed on, in order. */
  pass(chunk: Buffer): readonly Buffer[] {
    const passed: Buffer[] = []
    /** From here on nothing of the chunk is passed yet. */
    let begin = 0
    const keep = (end: number) => {
      if (end > begin) passed.push(chunk.subarray(begin, end))
    }
    for (let at = 0; at < chunk.length;) {
      const start = at
      const dropped = this.#drops
      if (this.#left > 0 || this.#isInText(chunk[at]!)) {
        at = this.#left > 0 ? this.#passValue(chunk, at) : this.#passText(chunk, at)
        if (dropped) begin = at
        continue
      }
      const end = chunk.indexOf(LF, at)
      at = end < 0 ? chunk.length : end + 1
      const line = this.#line + chunk.toString('latin1', start, at)
      const isWhole = end >= 0
      const isHeader = isWhole || line.length <= MOST_LINE
      const header = !isWhole ? (isHeader ? '' : line) : this.#header(line)
      const isSame = isWhole && this.#line === '' && header === line
      this.#line = isWhole || !isHeader ? '' : line
      this.#inText = !isHeader
      if (dropped) begin = at
      else if (!isSame) {
        keep(start)
        if (header !== '') passed.push(Buffer.from(header, 'latin1'))
        begin = at
      }
      if (isWhole && !this.#opens(line)) this.#ended()
    }
    if (!this.#drops) keep(chunk.length)
    return passed
  }

  get #drops(): boolean {
    return this.#dropsValue || this.#dropFrom !== undefined
  }

  /** A line that is a value itself, or that no version of the protocol has. */
  #isInText(byte: number): boolean {
    return this.#inText || (this.#line === '' && !HEADERS.has(byte))
  }

  #passText(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(LF, at)
    this.#inText = end < 0
    if (end < 0) return chunk.length
    this.#ended()
    return end + 1
  }

  #passValue(chunk: Buffer, at: number): number {
    const step = Math.min(this.#left, chunk.length - at)
    this.#left -= step
    if (this.#left === 0) {
      this.#dropsValue = false
      this.#ended()
    }
    return at + step
  }

  /** What goes on in the place of a whole line that says a length. */
  #header(line: string): string {
    const type = line.charAt(0)
    const count = countOf(line)
    if (count < 0) return line
    if (BULKS.includes(type)) {
      this.#left = count + 2
      this.#taken += count
      if (this.#drops || (count <= this.#limits.value && this.#taken <= this.#limits.reply)) return line
      this.#dropsValue = true
      this.#onDropped(`a value of ${count} bytes`)
      return EMPTY_BULK
    }
    if (count === 0) return line
    const isTooLong = !this.#drops && count > this.#limits.elements
    if (isTooLong) {
      this.#dropFrom = this.#open.length
      this.#onDropped(`a reply of ${count} elements`)
    }
    this.#open.push(MAPS.includes(type) ? 2 * count : count)
    return isTooLong ? `${type}0\r\n` : line
  }

  /** More of it is to come than the line. */
  #opens(line: string): boolean {
    return this.#left > 0 || (!BULKS.includes(line.charAt(0)) && countOf(line) > 0)
  }

  /** A value, or all of a list, has come. */
  #ended(): void {
    for (;;) {
      const lacking = this.#open.pop()
      if (lacking === undefined) this.#taken = 0
      if (lacking === undefined) return
      if (lacking > 1) {
        this.#open.push(lacking - 1)
        return
      }
      if (this.#open.length === this.#dropFrom) this.#dropFrom = undefined
    }
  }
}

/** Below 0: none is there. */
const countOf = (line: string): number => (/^.\d{1,15}\r\n$/.test(line) ? Number.parseInt(line.slice(1), 10) : -1)
