/**
 * What was read of a folder of zones, and which of it is a part of something else: a file that another one includes is no
 * zone and has no services, whatever its name says. Used by load.ts.
 */
import { dirname } from 'node:path'
import type { PrefixTable } from '../geo/prefixes.ts'
import type { Problem } from '../problem.ts'
import type { Node, Source } from '../yaml/source.ts'
import type { Files } from './files.ts'
import type { ZoneFile } from './records.ts'

/** What one file gave, or a zone's files together; opaque outside this folder. */
export interface FileResult {
  /** Hash of the content, and for zones of the defaults that go into it. */
  readonly hash: string
  /** Every file that was included, by path, with what it was like (Files.seek). */
  readonly includes: ReadonlyMap<string, string>
  readonly problems: readonly Problem[]
  /** Warnings and notices that are more than are told. */
  readonly hidden: Readonly<Record<'warning' | 'notice', number>>
  /** It had more errors than are told: whatever it is, it was not read to its end. */
  readonly isCut: boolean
  /** Characters that it included, each file as often as it was. */
  readonly includedCharacters: number
  /** Of a zone; undefined when it is none. */
  readonly zone?: ZoneFile | undefined
  /** Of any other file: its tree, empty when it could not be parsed. */
  readonly tree?: { readonly source: Source; readonly root: Node }
  /** Of a file of subnets; undefined when it is faulty. */
  readonly prefixes?: PrefixTable | undefined
}

/** A file, or several that are read as one, and what they gave. */
export interface LoadUnit {
  readonly paths: readonly string[]
  /** Without links. */
  readonly ids: readonly string[]
  readonly loaded: FileResult
  /** By its name it may be no more than a part of another. */
  readonly canBePart: boolean
}

/** What is included, and so a part of what includes it. */
export class IncludeGraph {
  /** By path, and by path without links: the units that include it. */
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
    // one after the other: of files that include each other the last one stays, to tell the loop
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

  /** True of a file that another one includes. */
  isPart(unit: LoadUnit): boolean {
    return this.#parts.has(unit)
  }

  /** `path`: of a file, or of a folder with included files in it; as it is told to the operator. */
  isIncluded(path: string): boolean {
    if (this.#includers.size === 0) return false
    const found = this.#files.seek(path)
    if (this.#includers.has(path) || ('id' in found && this.#includers.has(found.id))) return true
    return this.#folders.has(path)
  }
}
