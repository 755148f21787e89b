/**
 * A file of subnets that a rule names: one prefix a line, `#` begins a comment. It may have hundreds of thousands of
 * lines, so the result is a PrefixTable instead of objects, and only the first faults are reported one by one. Called
 * by load.ts.
 */
import { formatAddress, maskAddress, parseAddress, parsePrefix } from '../dns/address.ts'
import { type PrefixTable, PrefixTableBuilder } from '../geo/prefixes.ts'
import type { Report } from '../problem.ts'
import type { Source } from '../yaml/source.ts'
import { findConflict } from '../yaml/syntax.ts'

const MOST_FAULTS = 20
/** The most prefixes of one file. The Internet's routing table has 1.2 million. */
const MOST_PREFIXES = 4_000_000
const HINT = 'One prefix a line: 10.0.0.0/8, 2001:db8::/32, or an address alone'

/**
 * Reads a file of subnets. undefined when a line is faulty or there is no prefix: faults are reported at their lines.
 */
export function readSubnets(source: Source, report: Report): PrefixTable | undefined {
  const { text } = source.first
  const builder = new PrefixTableBuilder()
  let count = 0
  let faults = 0
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf('\n', at)
    const end = newline < 0 ? text.length : newline
    const line = text.slice(at, end)
    const hash = line.indexOf('#')
    const entry = (hash < 0 ? line : line.slice(0, hash)).trim()
    if (entry !== '') {
      const prefix = parsePrefix(entry)
      count++
      if (count > MOST_PREFIXES) {
        const message = `a file of subnets has ${MOST_PREFIXES / 1e6} million prefixes at most`
        report(source.problem('value-invalid', at, message, 'Write those that lie side by side as one'))
        return undefined
      }
      if (prefix !== undefined) builder.add(prefix)
      else if (faults === 0 && reportConflict(source, report)) return undefined
      else if (++faults <= MOST_FAULTS) {
        const problem = source.problem('value-invalid', at + line.indexOf(entry), ...prefixFault(entry))
        report({ ...problem, width: entry.length })
      }
    }
    at = end + 1
  }
  if (faults > MOST_FAULTS) {
    const message = `${faults - MOST_FAULTS} more lines of this file are no prefixes`
    report(source.problem('value-invalid', text.length, message, HINT))
  }
  if (count === 0) {
    const message = 'there is no prefix in this file, so the rule matches nothing by it'
    report(source.problem('rule-empty', 0, message, HINT))
  }
  return faults === 0 && count > 0 ? builder.done() : undefined
}

/** Whether the file is an unfinished merge, which is reported. */
function reportConflict(source: Source, report: Report): boolean {
  const conflict = findConflict(source.first.text)
  if (conflict !== undefined) report(source.problem('merge-conflict', conflict.at, conflict.message, conflict.hint))
  return conflict !== undefined
}

/**
 * Message and hint for a text that parsePrefix() refuses. If only host bits are set, the hint has the correct prefix.
 */
export function prefixFault(text: string): [message: string, hint: string] {
  const [, address, length] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? []
  const bytes = address === undefined ? undefined : parseAddress(address)
  if (bytes === undefined || Number(length) > 8 * bytes.length) return [`“${text}” is no prefix`, HINT]
  const network = formatAddress(maskAddress(bytes, Number(length)))
  const hint = `Write ${network}/${length}, or ${formatAddress(bytes)}/${8 * bytes.length} if one address is meant`
  return [`“${text}” has bits set behind its first ${length}`, hint]
}
