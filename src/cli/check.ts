/** `meridian check [DIR]`: load and compile without serving. The same builder as `serve`, so what passes here loads there. */
import { type Built, makeBuilder, type ProbeSettings } from '../answer/build.ts'
import { formatProblem } from '../problem.ts'
import type { Output } from './output.ts'

export interface CheckOptions {
  readonly zones: string
  readonly city: readonly string[]
  readonly asn: readonly string[]
  readonly cache?: string
  readonly nodeSite?: string
  /** What the zones are checked against beyond themselves: this node's prober. */
  readonly probe?: ProbeSettings
  readonly json: boolean
}

/** Exit code: 1 with errors, warnings alone are 0. */
export async function check(options: CheckOptions, output: Output): Promise<number> {
  const { json, ...settings } = options
  const built = await makeBuilder(settings).build()
  if (json) output.out(JSON.stringify({ ok: built.made !== undefined, ...summary(built), problems: built.problems }))
  else {
    for (const problem of built.problems) output.err(formatProblem(problem))
    output.out(inWords(built, settings.zones))
  }
  return built.made === undefined ? 1 : 0
}

function summary({ made }: Built): object {
  return made === undefined ? {} : { zones: made.zoneCount, names: made.nameCount, view: made.view }
}

function inWords({ made, problems }: Built, zones: string): string {
  const count = (severity: string): number => problems.filter((problem) => problem.severity === severity).length
  const found = `${count('error')} errors, ${count('warning')} warnings`
  if (made === undefined) return `${zones}: ${found}`
  const { zoneCount, nameCount, plan, view, world } = made
  return `${zones}: ${zoneCount} zones, ${nameCount} names, ${world.services.length} services, ${plan.members.length} members; ${found}; view ${view}`
}
