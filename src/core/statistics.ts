/** What became of one tensor's elements. Sums and the largest error are over finite values and errors. */
export interface TensorStatistics {
  readonly elements: number;
  /** NaN or infinite in the source. */
  readonly nonFinite: number;
  /** Finite in the source, infinite in the dtype of the scheme. */
  readonly overflowed: number;
  /** Groups (of q4f16_ft: rows) whose scale is zero. */
  readonly zeroGroups: number;
  /** Groups whose scale is infinite or NaN. */
  readonly infiniteScales: number;
  readonly maxError: number;
  readonly squaredError: number;
  readonly squaredValue: number;
}
