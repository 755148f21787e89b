/**
 * Writes YAML as a person would: what fits into a line is one, comments stand above what they are about. Every scalar is
 * quoted unless it can be nothing else than itself.
 */

/** A value to write. Mappings keep their order; keys whose values are undefined are left out. Foreign keys need a Map. */
export type YamlValue = string | number | boolean | readonly YamlValue[] | YamlMapping
export type YamlMapping = { readonly [key: string]: YamlValue | undefined } | ReadonlyMap<string, YamlValue>

/** Lines of comments, by the path of the key that they stand above: a line feed before each of its keys; '' is the file. */
export type Comments = ReadonlyMap<string, readonly string[]>

const WIDTH = 110

/** A file: a mapping whose keys each begin a line. */
export function writeYaml(root: YamlMapping, comments: Comments = new Map()): string {
  const writer = new Writer(comments)
  if (writer.comment('', '')) writer.lines.push('')
  writer.mapping(root, '', '')
  return `${writer.lines.join('\n')}\n`
}

class Writer {
  readonly lines: string[] = []
  readonly #comments: Comments
  /** Paths that have comments below them, so that they are no single lines. */
  readonly #above = new Set<string>()

  constructor(comments: Comments) {
    this.#comments = comments
    for (const path of comments.keys()) {
      for (let end = path.lastIndexOf('\n'); end > 0; end = path.lastIndexOf('\n', end - 1)) {
        this.#above.add(path.slice(0, end))
      }
    }
  }

  /** Writes the comments of a path; false if there are none. */
  comment(path: string, space: string): boolean {
    const comments = this.#comments.get(path) ?? []
    // a control character would end the comment
    for (const text of comments) this.lines.push(`${space}# ${text.replaceAll(/\p{C}/gu, '\u{fffd}')}`)
    return comments.length > 0
  }

  mapping(mapping: YamlMapping, path: string, space: string): void {
    for (const [key, value] of entriesOf(mapping)) {
      const own = `${path}\n${key}`
      this.comment(own, space)
      const head = `${space}${scalar(key)}:`
      const text = this.#above.has(own) ? '' : flow(value)
      const isLine = text !== '' && (typeof value !== 'object' || head.length + text.length < WIDTH)
      this.lines.push(isLine ? `${head} ${text}` : head)
      if (isLine || typeof value !== 'object') continue
      if (isList(value)) for (const item of value) this.lines.push(`${space}  - ${flow(item)}`)
      else this.mapping(value, own, `${space}  `)
    }
  }
}

const isList = (value: YamlValue): value is readonly YamlValue[] => Array.isArray(value)

function entriesOf(mapping: YamlMapping): readonly (readonly [string, YamlValue])[] {
  const entries = mapping instanceof Map ? [...mapping] : Object.entries(mapping)
  return entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))
}

/** A value within one line. */
function flow(value: YamlValue): string {
  if (typeof value === 'string') return scalar(value)
  if (typeof value !== 'object') return String(value)
  if (isList(value)) return `[${value.map(flow).join(', ')}]`
  return `{${entriesOf(value)
    .map(([key, one]) => `${scalar(key)}: ${flow(one)}`)
    .join(', ')}}`
}

/** Plain wherever it stands: no character of it is an indicator of YAML. */
const PLAIN = /^[A-Za-z0-9_][A-Za-z0-9_.+/%-]*$/
const WORDS = /^(?:null|true|false|yes|no|on|off|y|n)$/i
const PRINTABLE = /^[ -~]*$/

/** A scalar, which readers of zones take as the text that it is. */
function scalar(text: string): string {
  if (PLAIN.test(text) && !WORDS.test(text)) return text
  return PRINTABLE.test(text) ? `'${text.replaceAll("'", "''")}'` : JSON.stringify(text)
}
