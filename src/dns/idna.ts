/**
 * Names as people write them, characters beyond ASCII included (RFC 5891), → wire form. For what operators write: zones,
 * owners and targets.
 */
import { domainToASCII } from 'node:url'
import { type Fault, isFault, isTooLong, parseName, TOO_LONG } from './name.ts'

/** As parseName(), and each label with characters beyond ASCII by its A-label. Other labels stay as they are. */
export function parseUnicodeName(text: string): Uint8Array | Fault {
  if (isTooLong(text)) return TOO_LONG
  if (isAscii(text)) return parseName(text)
  const labels: string[] = []
  for (const label of text.split('.')) {
    const ascii = isAscii(label) ? label : toAscii(label)
    if (typeof ascii !== 'string') return ascii
    labels.push(ascii)
  }
  const name = parseName(labels.join('.'))
  return isFault(name) ? { fault: name.fault.replaceAll(labels.join('.'), text) } : name
}

// oxlint-disable-next-line no-control-regex
const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text)

/** A label with a character beyond ASCII; what is ASCII in it are letters, digits and hyphens (RFC 5891 §4.2.3.1). */
function toAscii(label: string): string | Fault {
  // node:url reads a URL's host: it would stop at a slash, and make addresses of digits in other scripts
  const isLabel = label.length <= 63 && /^[-a-z0-9\u{80}-\u{10ffff}]+$/iu.test(label)
  const ascii = isLabel ? domainToASCII(label) : ''
  return /^[-a-z0-9]+$/.test(ascii) ? ascii : { fault: `“${label}” is no label that IDNA can encode` }
}
