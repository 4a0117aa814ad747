select source, subject, record_key, reason_code, reason, raw_masked as raw, file, file_row, run_id
from {{ source('raw', 'quarantine') }}
