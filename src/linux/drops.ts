/**
 * Queries that the kernel dropped because a receive buffer was full: the one loss that our own counters cannot see.
 * Read from /proc when metrics are scraped; Linux only.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** How many datagrams were dropped at the UDP sockets that this process has open; undefined if /proc does not tell. */
export function droppedDatagrams(): number | undefined {
  try {
    const own = ownSockets()
    return ['/proc/net/udp', '/proc/net/udp6'].reduce((sum, table) => sum + dropsIn(table, own), 0)
  } catch {
    return undefined
  }
}

function ownSockets(): ReadonlySet<string> {
  const inodes = new Set<string>()
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
      if (inode !== undefined) inodes.add(inode)
    } catch {
      // closed since it was listed
    }
  }
  return inodes
}

/**
 * Sums the drops of our sockets in a table. In each line the tenth field is the socket's inode, the last one its drops.
 */
function dropsIn(table: string, own: ReadonlySet<string>): number {
  let drops = 0
  for (const line of readFileSync(table, 'latin1').split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/)
    if (own.has(fields[9] ?? '')) drops += Number(fields.at(-1))
  }
  return drops
}
