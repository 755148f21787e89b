/** What a prober shows of itself, in words. */
import type { OwnProberStatus } from '../../api/probing.ts'
import { count, formatAge } from '../../units.ts'

/** `probing 12 of 30 targets, 6 checks/s of 6 wanted, the oldest 3 s ago; 1 held down for flapping` */
export function probingInWords(probing: OwnProberStatus): string {
  const { assigned, planned, leaving, checksPerSecond, wantedPerSecond, oldestRunMs, heldDown, overdue } = probing
  const parts = [
    `probing ${assigned} of ${count(planned, 'target')}, ${round(checksPerSecond)} checks/s of ${round(wantedPerSecond)} wanted`,
    ...(oldestRunMs === null ? [] : [`the oldest ${formatAge(oldestRunMs)} ago`]),
    ...(leaving === 0 ? [] : [`${leaving} leaving`]),
    ...(heldDown === 0 ? [] : [`${heldDown} held down for flapping`]),
    ...(overdue === 0 ? [] : [`${overdue} OVERDUE`]),
  ]
  return parts.join(', ')
}

const round = (rate: number): number => Math.round(rate * 10) / 10
