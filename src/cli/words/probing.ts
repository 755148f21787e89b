/** The work of a process's own prober, in one line of `meridian status`. Used for nodes and for probers. */
import type { OwnProberStatus } from '../../api/probing.ts'
import { count, formatAge } from '../../units.ts'

/** `probing 12 of 30 targets, 6 of 6 checks/s, oldest check 3 s ago, 1 held down for flapping` */
export function probingInWords(probing: OwnProberStatus): string {
  const { assigned, planned, leaving, checksPerSecond, wantedPerSecond, oldestRunMs, heldDown, overdue } = probing
  const parts = [
    `probing ${assigned} of ${count(planned, 'target')}, ${round(checksPerSecond)} of ${round(wantedPerSecond)} checks/s`,
    ...(oldestRunMs === null ? [] : [`oldest check ${formatAge(oldestRunMs)} ago`]),
    ...(leaving === 0 ? [] : [`${leaving} being handed over`]),
    ...(heldDown === 0 ? [] : [`${heldDown} held down for flapping`]),
    ...(overdue === 0 ? [] : [`${overdue} OVERDUE`]),
  ]
  return parts.join(', ')
}

const round = (rate: number): number => Math.round(rate * 10) / 10
