/**
 * Counts clients by a query log (querylog/file.ts, docs/query-log.md): a line of JSON for each query. Read piece by
 * piece, because a log may be larger than memory; each client is held once. Called by client-weights.ts.
 */
import { readSync } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import { parsePrefix } from '../dns/address.ts'
import { ClientCounts } from '../traffic/flows.ts'

const PIECE_BYTES = 1 << 20
/** A line of the log has some hundred bytes. */
const MOST_LINE = 65_536

/** Tells what is wrong with a line, counted from 1. */
export type LineFault = (line: number, message: string) => void

/** Whether a file that begins so is a query log, and no CSV. */
export const isQueryLog = (head: Uint8Array): boolean => head[0] === 0x7b // {

/**
 * The clients of an open log whose first bytes, `head`, have been read: by their subnet, else by their resolver's
 * address, with the number of their queries. Only queries that were answered NOERROR count: floods of names that do not
 * exist are not clients. A last line without an end is left out if it is incomplete: the node may be writing it.
 */
export function readLoggedClients(fd: number, head: Uint8Array, fault: LineFault): ClientCounts {
  const queries = new Map<string, number>()
  const decoder = new StringDecoder('utf8')
  const piece = Buffer.alloc(PIECE_BYTES)
  let rest = decoder.write(Buffer.from(head))
  let number = 0
  let isSound = true
  const wrong = (line: number, message: string): void => {
    isSound = false
    fault(line, message)
  }
  const take = (line: string): void => {
    number++
    if (line.trim() === '') return
    const found = clientOf(line)
    if ('fault' in found) wrong(number, found.fault)
    else if (found.client !== undefined) queries.set(found.client, (queries.get(found.client) ?? 0) + 1)
  }
  for (let size = -1; size !== 0;) {
    const lines = rest.split('\n')
    rest = lines.pop()!
    for (const line of lines) take(line)
    if (rest.length > MOST_LINE) {
      wrong(number + 1, 'the line is too long for a query log')
      rest = ''
      break
    }
    size = readSync(fd, piece)
    rest += decoder.write(piece.subarray(0, size))
  }
  if (isJson(rest)) take(rest)
  const counts = new ClientCounts()
  for (const [client, count] of queries) counts.add(parsePrefix(client)!, count)
  if (counts.length === 0 && isSound) fault(0, 'no query in it was answered NOERROR, so it has no clients')
  return counts
}

/** The client of one line; undefined: the query does not count. */
function clientOf(line: string): { readonly client: string | undefined } | { readonly fault: string } {
  let entry: unknown
  try {
    entry = JSON.parse(line)
  } catch {
    return { fault: 'not a line of a query log: it is no JSON' }
  }
  const { client, ecs, rcode }: { client?: unknown; ecs?: unknown; rcode?: unknown } = Object(entry)
  if (typeof client !== 'string' || typeof rcode !== 'string')
    return { fault: 'not a line of a query log: it has no `client` or no `rcode`' }
  if (rcode !== 'NOERROR') return { client: undefined }
  const isSubnet = typeof ecs === 'string' && !ecs.endsWith('/0') // of length 0: the client does not tell
  const key = isSubnet ? ecs : client
  return parsePrefix(key) === undefined ? { fault: `“${key}” is no address or prefix` } : { client: key }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
