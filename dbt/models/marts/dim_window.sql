select source, window_code, window_name, department_code, region_code, hall_name, floor, is_general
from {{ ref('stg_window') }}
