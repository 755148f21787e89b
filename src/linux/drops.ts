/**
 * Queries that the kernel threw away because a receive buffer of ours was full: the one loss that no counter of our own
 * can see. Read from /proc when metrics are asked for; Linux only.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Datagrams dropped at the UDP sockets that this process has now; undefined where the kernel does not tell. */
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

/** Fields of a line: … the tenth is the socket's inode, the last its drops. */
function dropsIn(table: string, own: ReadonlySet<string>): number {
  let drops = 0
  for (const line of readFileSync(table, 'latin1').split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/)
    if (own.has(fields[9] ?? '')) drops += Number(fields.at(-1))
  }
  return drops
}
