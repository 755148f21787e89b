/** What is probed (targets), and which members depend on it: the health side of a World. */
import type { CheckModel } from '../zone/model.ts'

export interface Target {
  /** Hash of the canonical check without its timing, the address and the port: equal checks are probed once. */
  readonly id: string
  readonly check: CheckModel
  readonly address: string
  readonly port: number
}

export interface MemberPlan {
  /** `site/service/address`: the identity that health, overrides and saved state belong to. */
  readonly name: string
  readonly site: string
  readonly service: string
  readonly address: string
  /** All must pass; empty = `check: none`, always up. */
  readonly targets: readonly string[]
  /** Drained by the files, at its site or its service. */
  readonly drained: boolean
  readonly settleMs: number
  readonly probers: number
  readonly regions: number
}

export interface HealthPlan {
  readonly members: readonly MemberPlan[]
  readonly targets: readonly Target[]
}
