/**
 * The names of class CH by which a server says who it is (RFC 4892): id.server and hostname.bind, version.server and
 * version.bind. Called by answer.ts; what is not set in the Protocol is not answered.
 */
import type { Query } from '../dns/query.ts'
import { CLASS, TYPE } from '../dns/types.ts'
import type { Protocol } from './protocol.ts'
import { putText, type Response } from './response.ts'

const wire = (...labels: readonly string[]): Uint8Array =>
  Uint8Array.of(...labels.flatMap((label) => [label.length, ...Buffer.from(label)]), 0)

const IDENTITY = [wire('id', 'server'), wire('hostname', 'bind')]
const VERSION = [wire('version', 'server'), wire('version', 'bind')]

/** Writes the TXT record that a query of class CH asks for. False: nothing is set that it could ask for. */
export function answerChaos(response: Response, query: Query, { identity, version }: Protocol): boolean {
  if (query.class !== CLASS.CH || query.type !== TYPE.TXT) return false
  const text = isOneOf(query, IDENTITY) ? identity : isOneOf(query, VERSION) ? version : NOTHING
  if (text.length === 0) return false
  putText(response, CLASS.CH, text)
  return true
}

const NOTHING = new Uint8Array(0)

function isOneOf({ name, nameBytes }: Query, names: readonly Uint8Array[]): boolean {
  for (const one of names) {
    if (one.length !== nameBytes) continue
    let at = 0
    while (at < nameBytes && name[at] === one[at]) at++
    if (at === nameBytes) return true
  }
  return false
}
