-- A case belongs to the areas in which its region lay on the day of receipt.
select
    c.received_on as date,
    b.area_code,
    count(*) as received,
    count(*) filter (c.is_completed) as completed,
    count(*) filter (c.is_late) as late
from {{ ref('fct_case') }} as c
inner join {{ ref('bridge_area_region') }} as b
    on c.region_code = b.region_code
    and c.received_on >= b.valid_from
    and c.received_on < coalesce(b.valid_to, {{ last_day() }})
where c.received_at <= {{ as_of() }}
group by c.received_on, b.area_code
