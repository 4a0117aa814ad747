-- Statements name divisions or streets; here stand all regions that are known to lie in these, so that cases join by code and day.
with stated as (
    -- of several sources the first that says anything of an area; a statement that ends before it begins was called off
    select area_code, region_code, {{ division_prefix('region_code') }} as prefix, valid_from, valid_to, statement,
        coalesce(is_assumed, false) as is_assumed, updated_at
    from {{ ref('stg_area_region') }}
    where coalesce(valid_to > valid_from, true)
    qualify rank() over (partition by area_code order by source) = 1
), single as (
    select * from stated
    qualify row_number() over (
        partition by area_code, coalesce(prefix, region_code), valid_from
        order by updated_at desc nulls last, valid_to desc nulls first, region_code, statement
    ) = 1
), dated as (
    -- a later statement about the same division ends the one before
    select * replace (
        least(valid_to, lead(valid_from) over (partition by area_code, coalesce(prefix, region_code) order by valid_from)) as valid_to
    )
    from single
), known as (
    select region_code from {{ ref('dim_region') }}
    union
    select region_code from {{ ref('fct_case') }} where region_code is not null
    union
    select region_code from dated
), covered as (
    select d.area_code, k.region_code, d.valid_from, d.valid_to, d.region_code as stated_region_code, d.statement, d.is_assumed
    from known as k
    inner join dated as d on k.region_code = d.region_code or {{ division_prefix('k.region_code') }} like d.prefix || '%'
    -- what is said of a street itself goes before what is said of its district
    qualify rank() over (partition by d.area_code, k.region_code order by length(coalesce(d.prefix, d.region_code)) desc) = 1
)

select * from covered
union all
-- what is recorded under the area itself lies in it, from the first statement on
select area_code, area_code, min(valid_from), case when count(valid_to) = count(*) then max(valid_to) end, area_code, null, false
from dated
where area_code not in (select region_code from covered)
group by area_code
