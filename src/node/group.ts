/** The group that may use the control socket. Used by the settings, which check it, and by Doors. */
import { readFileSync } from 'node:fs'

const GROUPS = '/etc/group'

/** The number of a group, by its name in /etc/group (group(5)) or as its own number; undefined: there is none. */
export function gidOf(group: string, file = GROUPS): number | undefined {
  if (/^\d{1,9}$/.test(group)) return Number(group)
  let lines: readonly string[] = []
  try {
    lines = readFileSync(file, 'utf8').split('\n')
  } catch {
    // a machine without the file has no names of groups
  }
  const gid = lines.map((line) => line.split(':')).find(([name]) => name === group)?.[2]
  return gid !== undefined && /^\d{1,10}$/.test(gid) ? Number(gid) : undefined
}
