import type { Report } from '../problem.ts'
/** An MMDB file. */
export interface Database {
  readonly path: string
  /** Build of the content: type, build time, size and checksum. */
  readonly id: string
}
/** undefined when one of them is unreadable or corrupt: that has been reported. */
export declare function openDatabases(paths: readonly string[], report: Report): readonly Database[] | undefined
