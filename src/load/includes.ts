/**
 * What each file of a folder of zones gave, and which files are parts of others. A file that another one includes is a
 * part of that one: it is no zone and has no services, whatever its name says. Used by load.ts.
 */
import { dirname } from 'node:path'
import type { PrefixTable } from '../geo/prefixes.ts'
import type { Problem } from '../problem.ts'
import type { Node, Source } from '../yaml/source.ts'
import type { Files } from './files.ts'
import type { ZoneFile } from './records.ts'

/** What one file gave, or all files of a zone together; kept from load to load. Opaque outside of load/. */
export interface FileResult {
  /** Hash of the content, and for zones of the defaults that they use. */
  readonly hash: string
  /** Every file that was included, by path, with its state (IncludeLookup). */
  readonly includes: ReadonlyMap<string, string>
  readonly problems: readonly Problem[]
  /** How many warnings and notices there are beyond the limit of `problems`. */
  readonly hidden: Readonly<Record<'warning' | 'notice', number>>
  /** It had more errors than the limit, so it was not read to its end. */
  readonly isCut: boolean
  /** Characters that it included; a file counts as often as it was included. */
  readonly includedCharacters: number
  /** The zone; undefined if the files are no zone, or no YAML. */
  readonly zone?: ZoneFile | undefined
  /** The tree of any other file; undefined if it could not be parsed. */
  readonly tree?: { readonly source: Source; readonly root: Node }
  /** The prefixes of a file of subnets; undefined if it has faults. */
  readonly prefixes?: PrefixTable | undefined
}

/** A file, or several that are read as one (a zone's), and what they gave. */
export interface LoadUnit {
  readonly paths: readonly string[]
  /** The paths with all links resolved. */
  readonly ids: readonly string[]
  readonly loaded: FileResult
  /** It may be only a part of another file. False for defaults.yaml, sites.yaml and zones with a folder. */
  readonly canBePart: boolean
}

/** Which units include which files. */
export class IncludeGraph {
  /** By path, and by path with links resolved: the units that include it. */
  readonly #includers = new Map<string, LoadUnit[]>()
  readonly #parts = new Set<LoadUnit>()
  /** Folders with an included file in them, at any depth. */
  readonly #folders = new Set<string>()
  readonly #files: Files

  constructor(units: readonly LoadUnit[], files: Files) {
    this.#files = files
    for (const unit of units) {
      for (const file of unit.loaded.includes.keys()) {
        const found = files.seek(file)
        this.#add(file, unit)
        if ('id' in found && found.id !== file) this.#add(found.id, unit)
      }
    }
    // one after the other: of files that include each other the last one stays, so that the loop is reported
    if (this.#includers.size === 0) return
    for (const unit of units) if (unit.canBePart && this.#isIncludedByOther(unit)) this.#parts.add(unit)
  }

  #add(file: string, unit: LoadUnit): void {
    const units = this.#includers.get(file)
    if (units === undefined) {
      this.#includers.set(file, [unit])
      for (let folder = dirname(file); !this.#folders.has(folder); folder = dirname(folder)) this.#folders.add(folder)
    } else if (units.at(-1) !== unit) units.push(unit)
  }

  #isIncludedByOther(unit: LoadUnit): boolean {
    const isOther = (other: LoadUnit): boolean => other !== unit && !this.#parts.has(other)
    return unit.ids.some((id) => this.#includers.get(id)?.some(isOther))
  }

  /** Whether another file includes it. */
  isPart(unit: LoadUnit): boolean {
    return this.#parts.has(unit)
  }

  /** Whether a file is included, or a folder has included files in it. `path`: as messages name it. */
  isIncluded(path: string): boolean {
    if (this.#includers.size === 0) return false
    const found = this.#files.seek(path)
    if (this.#includers.has(path) || ('id' in found && this.#includers.has(found.id))) return true
    return this.#folders.has(path)
  }
}
