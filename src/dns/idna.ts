/**
 * Internationalized names (IDNA, RFC 5891) → wire form. For the names that operators write: zones, owners and targets.
 * Names in packets never come here.
 */
import { domainToASCII } from 'node:url'
import { type Fault, isFault, isTooLong, parseName, TOO_LONG } from './name.ts'

/** As parseName(), but a label with characters beyond ASCII becomes its A-label (`xn--…`). */
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

/**
 * The A-label of a label with characters beyond ASCII. Its ASCII characters must be letters, digits, hyphens (RFC 5891
 * §4.2.3.1).
 */
function toAscii(label: string): string | Fault {
  // domainToASCII() reads the host of a URL: it would stop at a slash, and turn digits of other scripts into addresses
  const isLabel = label.length <= 63 && /^[-a-z0-9\u{80}-\u{10ffff}]+$/iu.test(label)
  const ascii = isLabel ? domainToASCII(label) : ''
  return /^[-a-z0-9]+$/.test(ascii) ? ascii : { fault: `“${label}” is no label that IDNA can encode` }
}
